-- The feed: a stream `y` whose entries have the id <position>-0; a hash `ys` with `last`, the position given out last,
-- and `pruned`, up to which entries may be gone; a hash `yb` with the position from which on a channel has had a
-- listener; zsets yl:<channel> of listeners by the end of their lease; a hash `yh` with the latest end of each channel.
local function feed_state()
  local row = call('HMGET', P .. 'ys', 'last', 'pruned')
  return tonumber(row[1] or 0), tonumber(row[2] or 0)
end

local heard_until
-- Whether somebody listens to a channel; asked of the server once a script.
local function heard(channel)
  if heard_until == nil then
    heard_until = hash(P .. 'yh') or {}
  end
  local lease_end = heard_until[channel]
  return lease_end ~= nil and tonumber(lease_end) > NOW
end

-- Adds an entry; without an id of its own it is named after what it is about.
local function append_to_feed(channel, id, about, kind, tenant, data)
  local position = text(call('HINCRBY', P .. 'ys', 'last', 1))
  call('XADD', P .. 'y', position .. '-0', 'c', channel, 'i', id or about .. ':' .. position, 't', kind, 'n', tenant,
    'a', NOW_TEXT, 'd', data)
end

-- Notes the latest end of the leases of a channel.
local function note_heard(channel)
  local latest = call('ZREVRANGE', P .. 'yl:' .. channel, 0, 0, 'WITHSCORES')
  if latest[1] then
    call('HSET', P .. 'yh', channel, text(tonumber(latest[2])))
  else
    call('HDEL', P .. 'yh', channel)
  end
end
