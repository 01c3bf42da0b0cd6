-- New runs: id, name, version, parent ('' none), step ('=' and the text, or ''), flags (s spawned, a abandon), app, org, and
-- the driver as a job.
local function read_run(at)
  local new = {
    id = ARGV[at], n = ARGV[at + 1], v = ARGV[at + 2], flags = ARGV[at + 5], ap = ARGV[at + 6], og = ARGV[at + 7],
    pa = ARGV[at + 3] ~= '' and ARGV[at + 3] or nil, sp = ARGV[at + 4] ~= '' and ARGV[at + 4]:sub(2) or nil,
  }
  local following
  new.driver, following = read_job(at + 8)
  return new, following
end

-- The run of a driver that was just inserted.
local function insert_run(new, forked_from)
  local run, fields = {st = 'P', n = new.n, pa = new.pa, sp = new.sp}, {'v', new.v, 'c', NOW_TEXT, 'u', NOW_TEXT}
  run.aw = new.flags:find('s') and '0' or nil
  run.ab = new.flags:find('a') and '1' or nil
  run.ff = forked_from
  if new.ap ~= '' or new.og ~= '' then
    run.ap, run.og = new.ap, new.og
  end
  for name, value in pairs(run) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  call('HSET', run_key(new.id), unpack(fields))
  call('SADD', P .. 'fa', run.n)
  call('ZADD', P .. 'fi', 0, new.id)
  if run.pa then
    call('SADD', P .. 'fk:' .. run.pa, new.id)
  end
  index_run(new.id, run, true)
end

-- Makes a run unless its driver meets a conflict; answers why not, or nil and the driver's mark and id.
local function make_run(new, forked_from)
  local this = new_plan()
  local refusal = plan(this, new.driver)
  if refusal then
    return refusal
  end
  carry_out(this)
  local answer = this.answers[1]
  if answer:sub(1, 1) == '1' then
    insert_run(new, forked_from)
  end
  return nil, answer
end
