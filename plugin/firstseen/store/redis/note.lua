-- Note events that are no news of one term of another rule and, if one is behind them, take the lease on it.
--
-- KEYS[1]  the hash of the term
-- ARGV     owner, milliseconds of a lease, milliseconds for which a place in the queue is kept, 0 to take none, the
--          token of the last writing when it was read or "", token of this writing, "1" to take the lease, milliseconds
--          to keep it, what is to be remembered or "" for nothing
-- returns  "held" as claim.lua does
--          "known" or "leased", or "changed" and f, l, c, e, g, m, w: what is there instead, and nothing is written
--
-- A writing that is tried again because its answer was lost is not done twice.
local key, owner = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local v = redis.call('HMGET', key, 'o', 'd', 'q', 'r', 'w')

local function keep(ms)
    local left = redis.call('PTTL', key)
    if left == -1 and redis.call('HEXISTS', key, 'm') == 1 then return end -- what is remembered for ever
    if left < ms then redis.call('PEXPIRE', key, string.format('%.0f', ms)) end
end

local held = v[1] and v[1] ~= owner and tonumber(v[2]) > now
local queued = v[3] and v[3] ~= owner and tonumber(v[4]) > now
if held or queued then
    if not queued and tonumber(ARGV[3]) > 0 then
        redis.call('HSET', key, 'q', owner, 'r', string.format('%.0f', now + ARGV[3]))
        keep(ARGV[2] + ARGV[3])
    end
    return {'held'}
end
local written = v[5] or ''
if written ~= ARGV[4] and written ~= ARGV[5] then
    return {'changed', unpack(redis.call('HMGET', key, 'f', 'l', 'c', 'e', 'g', 'm', 'w'))}
end
if v[3] then redis.call('HDEL', key, 'q', 'r') end
if ARGV[8] ~= '' and written ~= ARGV[5] then
    redis.call('HSET', key, 'm', ARGV[8], 'w', ARGV[5])
    if redis.call('PTTL', key) < tonumber(ARGV[7]) then redis.call('PEXPIRE', key, ARGV[7]) end
end
if ARGV[6] ~= '1' then return {'known'} end
redis.call('HSET', key, 'o', owner, 'd', string.format('%.0f', now + ARGV[2]))
keep(tonumber(ARGV[2]))
return {'leased'}
