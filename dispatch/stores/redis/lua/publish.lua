-- Appends an event: e:<id> hashes; ei all ids and en:<name> those of one name, by id; ea by time. Wakes who waits for it.
-- parts: base keys rows moves concurrency place ready runs wakes channels_of_events publishing
-- ARGV: now, id, name, run ('' none), key ('=' and the text, or ''), app, org, further fields.
-- Answers 'stored', the event, this one or the earlier one with the same id, and whether more runs are to be woken;
-- or 'missing' or 'ended' and the state of the run.
local id, run_id, key = ARGV[2], ARGV[4] ~= '' and ARGV[4] or nil, P .. 'e:' .. ARGV[2]
if call('EXISTS', key) == 1 then
  return {'stored', call('HGETALL', key), 0}
end
local event = {n = ARGV[3], c = NOW_TEXT, ri = run_id}
if ARGV[5] ~= '' then
  event.key = ARGV[5]:sub(2)
end
if ARGV[6] ~= '' or ARGV[7] ~= '' then
  event.ap, event.og = ARGV[6], ARGV[7]
end
local run = run_id and run_of(run_id)
if run_id and (not run or (event.ap and tenant_of(event) ~= tenant_of(run))) then
  return {'missing'}
elseif run and ended(run) then
  return {'ended', run.st}
elseif run then
  event.ap, event.og = run.ap, run.og
end
local fields = {unpack(ARGV, 8)}
for name, value in pairs(event) do
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
call('HSET', key, unpack(fields))
index_event(id, event)
local more = 0
if run then
  local heard = false
  for _, value in ipairs(call('HVALS', P .. 'fw:' .. run_id)) do
    local _, _, wanted = read_wait(value)
    for _, name in ipairs(wanted.e) do
      heard = heard or name == event.n
    end
  end
  if heard then
    rouse(run_id, run)
  end
else
  more = each_waiting(id, channel_of(event.n, event.key, tenant_of(event)), '', AT_A_TIME) == AT_A_TIME and 1 or 0
end
joined()
wake()
return {'stored', call('HGETALL', key), more}
