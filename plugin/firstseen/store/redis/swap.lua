-- Put one memory in the place of another, if nothing was written since that was read.
--
-- KEYS[1]  the hash of the term
-- ARGV     owner, token of this writing, "1" to give back the lease, milliseconds to keep it or "" for ever, the token
--          of the last writing when it was read or "", then the name of each field and what it is to hold: "=" and the
--          value, or "" for nothing
-- returns  "ok", or "changed" and f, l, c, e, g, m, w: what is there instead, and then nothing is written
--
-- A writing that is tried again because its answer was lost is not done twice.
local key = KEYS[1]
local written = redis.call('HGET', key, 'w') or ''
if written ~= ARGV[2] then
    if written ~= ARGV[5] then
        return {'changed', unpack(redis.call('HMGET', key, 'f', 'l', 'c', 'e', 'g', 'm', 'w'))}
    end
    for i = 6, #ARGV, 2 do
        if ARGV[i + 1] == '' then
            redis.call('HDEL', key, ARGV[i])
        else
            redis.call('HSET', key, ARGV[i], string.sub(ARGV[i + 1], 2))
        end
    end
    redis.call('HSET', key, 'w', ARGV[2])
    if ARGV[4] == '' then
        redis.call('PERSIST', key)
    elseif redis.call('PTTL', key) < tonumber(ARGV[4]) then -- an agent whose rule has a longer window may need it
        redis.call('PEXPIRE', key, ARGV[4])
    end
end
if ARGV[3] == '1' and redis.call('HGET', key, 'o') == ARGV[1] then redis.call('HDEL', key, 'o', 'd') end
return {'ok'}
