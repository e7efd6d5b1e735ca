-- Puts counters that were counted anew in the place of those that are there, all in one step, if nothing was counted
-- of the campaign meanwhile.
-- KEYS: the campaign's clicks by link; then for each counter its name and that of its successor
-- ARGV: one msgpack array: the clicks by link as they were, fields and values in turns
-- Returns 1 if that was done, else 0
local expected = cmsgpack.unpack(ARGV[1])
local so_far = redis.call('HGETALL', KEYS[1])
if #so_far ~= #expected then return 0 end
local was = {}
for i = 1, #expected, 2 do was[expected[i]] = expected[i + 1] end
for i = 1, #so_far, 2 do
  if was[so_far[i]] ~= so_far[i + 1] then return 0 end
end
for i = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i + 1]) == 1 then
    redis.call('RENAME', KEYS[i + 1], KEYS[i])
    redis.call('PERSIST', KEYS[i])
  else
    redis.call('DEL', KEYS[i]) -- nothing adds to it any more
  end
end
return 1
