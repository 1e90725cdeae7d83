-- Ask for one term of a new_terms rule: what is remembered of it and, unless that makes the event known, the lease on it.
--
-- KEYS[1]  the hash of the term
-- ARGV     owner, milliseconds of a lease, milliseconds for which a place in the queue is kept, 0 to take none, time of
--          the newest event, the law's silence in milliseconds
-- returns  "held" where another has the lease or is next in the queue; if nobody is, the owner is next from then on
--          "known" or "leased", and f, l, c, e, g, m: what is remembered, and w: the token of its writing
local key, owner = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local v = redis.call('HMGET', key, 'f', 'l', 'c', 'e', 'g', 'm', 'o', 'd', 'q', 'r', 'w')

local function keep(ms)
    local left = redis.call('PTTL', key)
    if left == -1 and (v[1] or v[6]) then return end -- what is remembered for ever
    if left < ms then redis.call('PEXPIRE', key, string.format('%.0f', ms)) end
end

local last = tonumber(v[2] or nil)
if last and ARGV[4] - last <= tonumber(ARGV[5]) then -- whatever is on its way only makes it more known
    if v[9] == owner then redis.call('HDEL', key, 'q', 'r') end
    return {'known', v[1], v[2], v[3], v[4], v[5], v[6], v[11]}
end
local held = v[7] and v[7] ~= owner and tonumber(v[8]) > now
local queued = v[9] and v[9] ~= owner and tonumber(v[10]) > now
if held or queued then
    if not queued and tonumber(ARGV[3]) > 0 then
        redis.call('HSET', key, 'q', owner, 'r', string.format('%.0f', now + ARGV[3]))
        keep(ARGV[2] + ARGV[3])
    end
    return {'held'}
end
if v[9] then redis.call('HDEL', key, 'q', 'r') end
redis.call('HSET', key, 'o', owner, 'd', string.format('%.0f', now + ARGV[2]))
keep(tonumber(ARGV[2]))
return {'leased', v[1], v[2], v[3], v[4], v[5], v[6], v[11]}
