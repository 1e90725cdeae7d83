-- Keep a term for longer, from its last writing on, where that is known: its rule has a longer window than it had.
--
-- KEYS[1]  the hash of the term
-- ARGV     milliseconds for which it was kept, and for which it is to be kept, from its last writing on
-- returns  1 if it is kept for longer now; 0 where it is gone, is nothing but a lease, or is kept for longer already
local key, before = KEYS[1], tonumber(ARGV[1])
local left = redis.call('PTTL', key)
if left < 0 or left > before then return 0 end
if redis.call('HEXISTS', key, 'f') == 0 and redis.call('HEXISTS', key, 'm') == 0 then return 0 end
redis.call('PEXPIRE', key, string.format('%.0f', left + ARGV[2] - before))
return 1
