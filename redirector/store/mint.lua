-- Mints links, each identity once: a retry, or the same link in another mail of the campaign, gets the same number.
-- KEYS: links, next_link, identities, campaigns, topics, changes, links_of the campaign, honeypots_of it
-- ARGV: campaign name, its JSON if it must be made, most topics allowed, now (Unix ms), most changes kept,
--       then for each link: identity, JSON, topics with commas, 1 if it is a honeypot
-- Returns for each link: {number, 1 if it was made now, JSON} or {0, 0, the topic that found no room}
local campaign, fresh, most_topics, now, most_changes = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local function announce(kind, name)
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', most_changes, '*', kind, name)
end

local function topic_without_room(topics)
  local room = most_topics - redis.call('ZCARD', KEYS[5])
  for topic in string.gmatch(topics, '[^,]+') do
    if not redis.call('ZSCORE', KEYS[5], topic) then
      room = room - 1
      if room < 0 then return topic end
    end
  end
end

if redis.call('HSETNX', KEYS[4], campaign, fresh) == 1 then announce('campaign', campaign) end

local answers = {}
for i = 6, #ARGV, 4 do
  local identity, link, topics = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local number = redis.call('HGET', KEYS[3], identity)
  if number then
    answers[#answers + 1] = {tonumber(number), 0, redis.call('HGET', KEYS[1], number)}
  else
    local homeless = topic_without_room(topics)
    if homeless then
      answers[#answers + 1] = {0, 0, homeless}
    else
      number = redis.call('INCR', KEYS[2])
      redis.call('HSET', KEYS[1], number, link)
      redis.call('HSET', KEYS[3], identity, number)
      redis.call('ZADD', KEYS[7], number, number)
      if ARGV[i + 3] == '1' then redis.call('SADD', KEYS[8], number) end
      for topic in string.gmatch(topics, '[^,]+') do redis.call('ZADD', KEYS[5], 'NX', now, topic) end
      announce('link', number)
      answers[#answers + 1] = {number, 1, link}
    end
  end
end
return answers
