-- Add sightings out of past logs to what is remembered, and keep how far these were read: all of it, or nothing.
--
-- What was seen goes together as by firstseen.store.merge.together, which this has to equal.
--
-- KEYS     the hash of each term, then that of each mark
-- ARGV     how many terms there are, token of this writing, then of each term: milliseconds to keep it or "" for ever, the
--          terms, first and last seen, count, the first event and the last; then the value of each mark
-- returns  how many terms are new; 0 where it was done before
--
-- A writing that is tried again because its answer was lost is not done twice: a mark is written by nobody else.
local terms, token = tonumber(ARGV[1]), ARGV[2]
if redis.call('HGET', KEYS[#KEYS], 'w') == token then return 0 end

local function precedes(time, event, other_time, other_event)
    if time ~= other_time then return time < other_time end
    for i = 1, math.min(#event, #other_event) do -- by bytes: the order of < is that of the server's locale
        local one, other = string.byte(event, i), string.byte(other_event, i)
        if one ~= other then return one < other end
    end
    return #event < #other_event
end

local at, new = 3, 0
for i = 1, terms do
    local key, kept, names = KEYS[i], ARGV[at], ARGV[at + 1]
    local first, last, count = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local event, latest = ARGV[at + 5], ARGV[at + 6]
    local v = redis.call('HMGET', key, 'f', 'l', 'c', 'e', 'g')
    if v[1] then
        local f, l = tonumber(v[1]), tonumber(v[2])
        if precedes(f, v[4], first, event) then first, event = f, v[4] end
        if precedes(last, latest, l, v[5]) then last, latest = l, v[5] end
        count = count + v[3]
    else
        new = new + 1
    end
    redis.call('HSET', key, 'f', string.format('%.0f', first), 'l', string.format('%.0f', last),
        'c', string.format('%.0f', count), 'e', event, 'g', latest, 't', names, 'w', token)
    if kept == '' then
        redis.call('PERSIST', key)
    elseif redis.call('PTTL', key) < tonumber(kept) then -- an agent whose rule has a longer window may need it
        redis.call('PEXPIRE', key, kept)
    end
    at = at + 7
end
for i = terms + 1, #KEYS do
    redis.call('HSET', KEYS[i], 'v', ARGV[at], 'w', token)
    at = at + 1
end
return new
