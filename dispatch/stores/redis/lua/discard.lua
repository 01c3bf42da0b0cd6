-- Decides that nothing happens about a dead letter.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends
-- ARGV: now, letter, scoped, app, org.
local letter = hash(P .. 'x:' .. ARGV[2])
if not letter or not in_scope(letter, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return 'missing'
end
if letter.st ~= 'O' then
  return 'conflict'
end
decide_letter(ARGV[2], 'D')
wake()
return 'applied'
