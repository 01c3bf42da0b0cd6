-- Whether a quarantined job of some queues and names has been due for long and could be claimed now.
-- flags: no-writes
-- parts: base keys rows gates concurrency
-- ARGV: now, for how long (microseconds), number of queues, queues, names.
local due, last = stamp(NOW - tonumber(ARGV[2])), 3 + tonumber(ARGV[3])
local names = {}
for i = last + 1, #ARGV do
  names[ARGV[i]] = true
end
for i = 4, last do
  local waiting = call('ZRANGE', P .. 'qq:' .. ARGV[i], 0, 499)
  local this = #waiting > 0 and gate(ARGV[i])
  if this and room(this) >= 1 then
    for _, member in ipairs(waiting) do
      local id = member:sub(19)
      local row = member:sub(1, 18) <= due and job(id)
      if row and names[row.n] and not tenant_full(this, tenant_of(row)) and not key_full(id, row) then
        return 1
      end
    end
  end
end
return 0
