-- Remember sightings of one term, in order, by the law of new_terms (NewTermsLaw.remember, which this has to equal).
--
-- KEYS[1]  the hash of the term
-- ARGV     owner, token of this writing, "1" to give back the lease, milliseconds to keep it or "" for ever, the terms,
--          then time, event and "alert" or "known" of each sighting
-- returns  "ok" and f, l, c, e, g: what is remembered now
--          "lost" where all are known by what is not remembered any more: then nothing is written
--
-- A writing that is tried again because its answer was lost is not done twice.
local key = KEYS[1]
local v = redis.call('HMGET', key, 'f', 'l', 'c', 'e', 'g', 'w')
local first, last, count = tonumber(v[1] or nil), tonumber(v[2] or nil), tonumber(v[3] or nil)
local alerted, latest = v[4], v[5]

if v[6] ~= ARGV[2] then
    local lost = not last
    for i = 6, #ARGV, 3 do
        if ARGV[i + 2] == 'alert' then lost = false end
    end
    if lost then return {'lost'} end
    for i = 6, #ARGV, 3 do
        local time, event, alerts = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2] == 'alert'
        if not last then
            first, last, count, alerted, latest = time, time, 1, event, event
        else
            local repeated = time <= last and (event == alerted or event == latest)
            if not repeated then count = count + 1 end
            if time >= last then
                if alerts then alerted = event end
                last, latest = time, event
            end
            first = math.min(first, time)
        end
    end
    redis.call('HSET', key, 'f', string.format('%.0f', first), 'l', string.format('%.0f', last),
        'c', string.format('%.0f', count), 'e', alerted, 'g', latest, 't', ARGV[5], 'w', ARGV[2])
    if ARGV[4] == '' then
        redis.call('PERSIST', key)
    elseif redis.call('PTTL', key) < tonumber(ARGV[4]) then -- an agent whose rule has a longer window may need it
        redis.call('PEXPIRE', key, ARGV[4])
    end
end
if ARGV[3] == '1' and redis.call('HGET', key, 'o') == ARGV[1] then redis.call('HDEL', key, 'o', 'd') end
return {'ok', string.format('%.0f', first), string.format('%.0f', last), string.format('%.0f', count), alerted, latest}
