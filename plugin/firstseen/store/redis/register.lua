-- Enter a history, which began when it was entered first; its name and its reach are those given last.
--
-- KEYS[1]  the hash of all histories
-- ARGV     field, when it begins in milliseconds, what to write behind the time, "earliest" where what is there may
--          have been entered after that and have to give way
-- returns  when it began, in milliseconds
local known = redis.call('HGET', KEYS[1], ARGV[1])
local since = known and string.match(known, '^(%-?%d+) ') or ARGV[2]
if ARGV[4] == 'earliest' and tonumber(ARGV[2]) < tonumber(since) then since = ARGV[2] end
local entry = since .. ' ' .. ARGV[3]
if entry ~= known then redis.call('HSET', KEYS[1], ARGV[1], entry) end
return since
