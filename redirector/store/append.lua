-- Appends a batch of clicks to their stream, once: the number is remembered in the same script as the append,
-- so that a batch sent again after a lost reply does nothing. A recorder's batches of an epoch must come in their order.
-- Numbers may be missing among them, where batches were lost or expired: a gap does not tell that one comes later.
-- KEYS: clicks, recorder (the last batch number of this recorder in this epoch)
-- ARGV: batch number, how long to remember it in seconds, then one click each: a msgpack array of names and values
-- Returns 1 if the batch was appended now, 0 if it was there already
local number, last = tonumber(ARGV[1]), redis.call('GET', KEYS[2])
if last and tonumber(last) >= number then return 0 end
local clicks = {}
for i = 3, #ARGV do clicks[#clicks + 1] = cmsgpack.unpack(ARGV[i]) end
for i = 1, #clicks do redis.call('XADD', KEYS[1], '*', unpack(clicks[i])) end
-- What the store refuses, it refuses above: a batch that is not in the stream is never remembered as being there.
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
