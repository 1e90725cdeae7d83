-- Give back a lease. A hash with nothing left in it is gone.
--
-- KEYS[1]  the hash of the term
-- ARGV     owner
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 'o', 'd')
end
