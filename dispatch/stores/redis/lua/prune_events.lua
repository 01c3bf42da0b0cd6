-- Deletes old events, the oldest first; or counts them. What a live run has not read in its mailbox stays.
-- flags: allow-oom
-- parts: base keys runs channels_of_events
-- ARGV: now, older than (microseconds), limit, dry, events to pass over.
-- Answers how many, how many are to be passed over from now on, and whether there may be more.
local LOOKS = 500
local limit, dry, passed = tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local before = '(' .. text(NOW - tonumber(ARGV[2]))
local old = call('ZRANGEBYSCORE', P .. 'ea', '-inf', before, 'LIMIT', passed, LOOKS)
local count = 0
for _, id in ipairs(old) do
  if count >= limit then
    break
  end
  local about = call('HMGET', P .. 'e:' .. id, 'ri', 'n')
  local run = about[1] and run_of(about[1])
  if run and not ended(run) and call('ZSCORE', mailbox(about[1], about[2]), id) then
    passed = passed + 1
  else
    count = count + 1
    if dry then
      passed = passed + 1
    else
      forget_event(id)
    end
  end
end
return {count, passed, #old == LOOKS and 1 or 0}
