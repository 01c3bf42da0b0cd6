-- Entries of some channels after a position (-1: none, only the present end).
-- flags: no-writes
-- parts: base feed
-- ARGV: now, position, limit, channels. Answers entries, where to go on, the channels of which some are missing, and
-- whether there is more to look through.
local last, pruned = feed_state()
local position, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
if position < 0 then
  return {{}, last, {}, 0}
end
local wanted, gaps, found, from = {}, {}, {}, ARGV[2]
local lost = position > last or position < pruned
for i = 4, #ARGV do
  local channel = ARGV[i]
  wanted[channel] = true
  if lost or position < tonumber(call('HGET', P .. 'yb', channel) or last) then
    gaps[#gaps + 1] = channel
  end
end
-- a bounded part of the feed: entries of other channels are passed over
local left, more = 1000, limit > 0
while more and left > 0 and #found < limit do
  local some = call('XRANGE', P .. 'y', '(' .. from .. '-0', '+', 'COUNT', math.min(left, limit))
  for _, entry in ipairs(some) do
    from = entry[1]:match('^%d+')
    if wanted[entry[2][2]] then
      found[#found + 1] = entry
      if #found == limit then
        break
      end
    end
  end
  left, more = left - #some, #some > 0
end
local full = limit == 0 or #found == limit
if full or more then
  return {found, math.min(tonumber(from), last), gaps, full and 0 or 1}
end
return {found, last, gaps, 0}
