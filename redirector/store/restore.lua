-- Puts links back under their old numbers; a number that is taken keeps what it has.
-- KEYS: links, next_link, identities, topics, changes, links_of the campaign, honeypots_of it
-- ARGV: most changes kept, then for each link: number, identity, JSON, topics with commas, created_at (Unix ms),
--       1 if it is a honeypot
-- Returns how many were put back
local put = 0
for i = 2, #ARGV, 6 do
  local number, identity, link, topics, created_at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if redis.call('HSETNX', KEYS[1], number, link) == 1 then
    put = put + 1
    redis.call('HSETNX', KEYS[3], identity, number)
    redis.call('ZADD', KEYS[6], number, number)
    if ARGV[i + 5] == '1' then redis.call('SADD', KEYS[7], number) end
    for topic in string.gmatch(topics, '[^,]+') do redis.call('ZADD', KEYS[4], 'NX', created_at, topic) end
    redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[1], '*', 'link', number)
  end
  -- A number that was given out is never given out again, or a mail already sent would lead somewhere else.
  if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(number) then redis.call('SET', KEYS[2], number) end
end
return put
