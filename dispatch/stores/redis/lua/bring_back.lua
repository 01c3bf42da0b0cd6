-- Brings back jobs that were set aside and somebody serves now.
-- wakes: seldom
-- parts: base keys rows moves concurrency place ready runs
-- flags: allow-oom
-- ARGV: now, limit, number of queues (-1: all), queues, names. Answers how many; fewer than the limit: these were all.
local limit, last = tonumber(ARGV[2]), 3 + math.max(0, tonumber(ARGV[3]))
local queues = {}
for i = 4, last do
  queues[#queues + 1] = ARGV[i]
end
if ARGV[3] == '-1' then
  queues = call('SMEMBERS', P .. 'q')
end
local count = 0
for _, queue in ipairs(queues) do
  for i = last + 1, #ARGV do
    local name = ARGV[i]
    local key = P .. 'as:' .. pair(queue, name)
    local found = limit > count and call('ZRANGE', key, 0, limit - count - 1) or {}
    if #found > 0 then
      for _, member in ipairs(found) do
        local id = member:sub(19)
        local row = job(id)
        if row then
          call('HDEL', job_key(id), 'as')
          call('HSET', job_key(id), 'u', NOW_TEXT)
          row.as = nil
          local run = driven(row)
          if run then
            to_run_state(row.ri, run, standing(run))
          end
          place_row(id, row)
        end
      end
      call('ZREMRANGEBYRANK', key, 0, #found - 1)
      if call('EXISTS', key) == 0 then
        call('SREM', P .. 'an:' .. queue, name)
      end
      count = count + #found
    end
  end
end
joined()
if count > 0 then
  wake()
end
return count
