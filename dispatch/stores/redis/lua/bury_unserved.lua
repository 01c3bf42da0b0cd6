-- Fails jobs that have been set aside for long, each with a dead letter.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends
-- ARGV: now, due for (microseconds), ids for dead letters. Answers those that were used.
local due, limit = stamp(NOW - tonumber(ARGV[2])), #ARGV - 2
local found = {}
for _, queue in ipairs(call('SMEMBERS', P .. 'q')) do
  for _, name in ipairs(call('SMEMBERS', P .. 'an:' .. queue)) do
    for _, member in ipairs(call('ZRANGE', P .. 'as:' .. pair(queue, name), 0, limit - 1)) do
      if member:sub(1, 18) > due then
        break
      end
      if call('HGET', job_key(member:sub(19)), 'k') ~= 'workflow' then
        found[#found + 1] = member
      end
    end
  end
end
table.sort(found)
local used = {}
for i = 1, math.min(limit, #found) do
  local id = found[i]:sub(19)
  local row, letter = job(id), ARGV[2 + i]
  lift(id, row)
  conclude(id, row, 'F', 'no_handler')
  bury(id, row, 'no_handler', letter)
  used[#used + 1] = letter
end
admit_left()
joined()
settle()
if #used > 0 then
  wake()
end
return used
