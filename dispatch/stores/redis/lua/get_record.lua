-- One record that has not expired.
-- flags: no-writes
-- parts: base records
-- ARGV: now, namespace, key.
local row, flat = lasting(ARGV[2], ARGV[3])
return row and flat or false
