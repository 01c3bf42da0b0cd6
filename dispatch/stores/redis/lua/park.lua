-- Puts drivers to sleep that nothing has woken since they looked.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation cancels channels_of_events driving fences
-- ARGV: now, worker, parks: run, driver, epoch, wake_seq that was seen, until, how it is shown ('' never by itself), number
-- of groups, those: mode (a any, l all, f all or failure), number of steps, steps. Answers a reply each.
local worker, at, answers = ARGV[2], 3, {}

local function read_groups()
  local groups, number = {}, tonumber(ARGV[at])
  at = at + 1
  for i = 1, number do
    local group = {mode = ARGV[at], steps = {}}
    local steps = tonumber(ARGV[at + 1])
    for j = 1, steps do
      group.steps[j] = ARGV[at + 1 + j]
    end
    at = at + 2 + steps
    groups[i] = group
  end
  return groups
end

-- Leaves the steps whose children have not ended; answers whether the group is satisfied already.
local function satisfied(run_id, group)
  local left, failed, over = {}, false, 0
  for _, step in ipairs(group.steps) do
    local result = call('HGET', P .. 'fr:' .. run_id, step)
    if result then
      over = over + 1
      failed = failed or result:sub(1, 1) ~= 'C'
    else
      left[#left + 1] = step
    end
  end
  group.steps = left
  if group.mode == 'a' then
    return over > 0
  end
  return #left == 0 or (group.mode == 'f' and failed)
end

local function park(row, run, said)
  local run_id = said.run
  local awake = (run.ws or '0') ~= said.seen
  for _, group in ipairs(said.groups) do
    awake = satisfied(run_id, group) or awake
  end
  if awake then
    return 'conflict'
  end
  stop(said.driver, row)
  call('HSET', job_key(said.driver), 'la', left_mark(worker, said.epoch, 'park'))
  if row.cr then
    compensates(said.driver, row, run_id, run, row.cr)
    return 'applied'
  end
  call('HDEL', job_key(said.driver), 'f', 'x')
  row.f, row.x = nil, nil
  if run.et and not run.co then
    call('HDEL', run_key(run_id), 'et', 'em', 'eb')
    run.et, run.em, run.eb = nil, nil, nil
  end
  local modes = {}
  for number, group in ipairs(said.groups) do
    modes[number] = group.mode
    in_chunks('SADD', P .. 'fo:' .. pair(run_id, text(number)), group.steps)
  end
  run.pk, run.go = '1', table.concat(modes)
  call('HSET', run_key(run_id), 'pk', '1', 'go', run.go)
  if said.shown ~= '' then
    call('HSET', run_key(run_id), 'wk', said.shown)
  end
  to_run_state(run_id, run, standing(run))
  wait(said.driver, row, said.until_)
  return 'applied'
end

while at <= #ARGV do
  local said = {
    run = ARGV[at], driver = ARGV[at + 1], epoch = ARGV[at + 2], seen = ARGV[at + 3], until_ = ARGV[at + 4],
    shown = ARGV[at + 5],
  }
  at = at + 6
  said.groups = read_groups()
  local row, run = fence(worker, said.driver, said.epoch, said.run, true)
  if row then
    answers[#answers + 1] = park(row, run, said)
  else
    answers[#answers + 1] = repeated(worker, said.driver, said.epoch, 'park') and 'applied' or 'stale'
  end
end
admit_left()
joined()
settle()
wake()
return answers
