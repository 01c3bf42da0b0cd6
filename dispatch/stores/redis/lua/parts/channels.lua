-- The short logs of channels: streams y:<channel> whose entries have the id <position>-0; yc:<channel> with `last`, the
-- position given out last, and `floor`, before which something is missing; yl:<channel> listeners by the end of their
-- lease; ya all channels.
local function channel_state(channel)
  local row = call('HMGET', P .. 'yc:' .. channel, 'last', 'floor')
  return tonumber(row[1] or 0), tonumber(row[2] or 0)
end

-- Skips a position, so that whoever was listening before is told that the log does not reach back.
local function note_gap(channel)
  if call('EXISTS', P .. 'yc:' .. channel) == 1 then
    local gap = text(channel_state(channel) + 1)
    call('HSET', P .. 'yc:' .. channel, 'last', gap, 'floor', gap)
  end
end

local function position_of(entry_id)
  return tonumber(entry_id:match('^(%d+)'))
end
