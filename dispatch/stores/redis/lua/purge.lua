-- Deletes old dead letters, the oldest first, looking at a bounded number of them.
-- flags: allow-oom
-- parts: base keys rows
-- ARGV: now, older than (microseconds), limit, letters to pass over, scoped, app, org, states.
-- Answers how many, how many were passed over, and whether there may be more.
local LOOKS = 500
local age, limit, passed = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local states = {}
for i = 8, #ARGV do
  states[ARGV[i]] = true
end
local count = 0
-- an entry of this very moment is "more than 0 seconds" old to whoever asks for all of them
local before = age <= 0 and '+inf' or '(' .. text(NOW - age)
local found = call('ZRANGEBYSCORE', P .. 'xa', '-inf', before, 'LIMIT', passed, LOOKS)
for _, id in ipairs(found) do
  if count >= limit then
    break
  end
  local row = hash(P .. 'x:' .. id)
  if (#ARGV < 8 or states[row.st]) and in_scope(row, ARGV[5] == '1', ARGV[6], ARGV[7]) then
    call('ZREM', P .. 'xs:' .. row.st, id)
    call('ZREM', P .. 'xa', id)
    call('UNLINK', P .. 'x:' .. id)
    count = count + 1
  else
    passed = passed + 1
  end
end
if count > 0 then
  wake()
end
return {count, passed, (count < limit and #found == LOOKS) and 1 or 0}
