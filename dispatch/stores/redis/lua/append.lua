-- Appends entries to the channels that somebody listens to; answers the present end.
-- parts: base feed
-- ARGV: now, channel, id, type, tenant and data each.
for i = 2, #ARGV, 5 do
  if heard(ARGV[i]) then
    append_to_feed(ARGV[i], ARGV[i + 1], nil, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  end
end
wake()
return (feed_state())
