-- Fires an entry: its ticks, what they make, and the schedule's advance, while the entry is what the firing was decided
-- by; or writes a tick by hand (revision ''), which moves nothing.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry cancels channels_of_events driving inserts births crons
-- ARGV: now, id, revision, expected next time ('' none), next time ('' never), ticks. A tick is its time, outcome,
-- whether the old one is to be cancelled, a run ('' none), what it makes ('' nothing, 'job', 'run'), and that.
-- Answers a reply and ticks: time and JSON each.
local id, by_hand = ARGV[2], ARGV[3] == ''
local key = P .. 'cr:' .. id
local entry = hash(key)
if not entry then
  return {'missing'}
end
local back = entry.until_ and tonumber(entry.until_) <= NOW
if not by_hand and (entry.revision ~= ARGV[3] or (entry.next or '') ~= ARGV[4] or entry.orphaned == '1'
  or (entry.enabled ~= '1' and not back)) then
  return {'conflict'}
end

local function stop_old(new)
  local unique_key = new.extras and new.extras.uk
  local found = unique_key and holder(unique_key)
  local old = found and found.live and job(found.id)
  local run = old and driven(old)
  if run then
    cancel_run(old.ri, run, 'a newer tick of its cron entry')
  elseif old then
    cancel_job(found.id, old, 'a newer tick of its cron entry')
  end
end

local function make(new)
  local this = new_plan()
  if plan(this, new) then
    return nil
  end
  carry_out(this)
  return this.answers[1]:sub(1, 1) == '1' and new.id or nil
end

local function start(new)
  local refusal, answer = make_run(new)
  return not refusal and answer:sub(1, 1) == '1' and new.driver.id or nil
end

local answers, latest, at = {}, tonumber(entry.last), 6
while at <= #ARGV do
  local time, outcome, cancel_old, run = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1', ARGV[at + 3]
  local makes, new = ARGV[at + 4], nil
  at = at + 5
  if makes ~= '' then
    new, at = (makes == 'run' and read_run or read_job)(at)
  end
  local known = call('HGET', P .. 'ct:' .. id, time)
  if not known then
    if new and cancel_old then
      stop_old(makes == 'run' and new.driver or new)
    end
    local made = new and (makes == 'run' and start(new) or makes == 'job' and make(new))
    if new and not made then
      outcome = 'skipped'
    end
    known = cjson.encode({outcome, NOW_TEXT, made or '', made and run or '', ''})
    call('HSET', P .. 'ct:' .. id, time, known)
    call('ZADD', P .. 'co:' .. id, time, time)
    call('ZADD', P .. 'ca', NOW, id .. ':' .. time)
    if outcome == 'fired' then
      tell_tick(id, entry, time, made or nil, made and run or '')
    end
  end
  if cjson.decode(known)[1] == 'fired' then
    latest = math.max(latest or 0, tonumber(time))
  end
  answers[#answers + 1] = time
  answers[#answers + 1] = known
end
admit_left()
joined()
settle()
if not by_hand then
  call('HDEL', key, 'until_', 'why', 'by', 'next')
  call('HSET', key, 'enabled', '1', 'u', NOW_TEXT)
  if ARGV[5] ~= '' then
    call('HSET', key, 'next', ARGV[5])
  end
  if latest then
    call('HSET', key, 'last', text(latest))
  end
  note_due(id, hash(key))
  call('INCR', P .. 'cv')
end
wake()
return {'applied', unpack(answers)}
