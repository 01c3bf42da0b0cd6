-- Ends a listener's leases on all channels.
-- flags: allow-oom
-- parts: base feed
-- ARGV: now, listener.
for _, channel in ipairs(call('HKEYS', P .. 'yh')) do
  if call('ZREM', P .. 'yl:' .. channel, ARGV[2]) == 1 then
    note_heard(channel)
  end
end
return 1
