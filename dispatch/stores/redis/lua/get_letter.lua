-- One dead letter.
-- flags: no-writes
-- parts: base keys rows letters
-- ARGV: now, id, scoped, app, org.
local letter, flat = hash(P .. 'x:' .. ARGV[2])
if not letter or not in_scope(letter, ARGV[3] == '1', ARGV[4], ARGV[5]) then
  return false
end
return shown_letter(ARGV[2], flat)
