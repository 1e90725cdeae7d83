-- Put one entry of a hash in the place of another, if that is still what is there.
--
-- KEYS[1]  the hash
-- ARGV     field, what was there or "" for nothing, what is to be there
-- returns  1 if it is there now
local is = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if is ~= ARGV[2] and is ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
