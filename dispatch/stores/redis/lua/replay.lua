-- Makes the one new job of a dead letter.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry
-- ARGV: now, letter, new id, scoped, app, org, another payload if there is one. Answers a reply, a job and the letter's state.
local id, new_id = ARGV[2], ARGV[3]
local letter = hash(P .. 'x:' .. id)
if not letter or not in_scope(letter, ARGV[4] == '1', ARGV[5], ARGV[6]) then
  return {'missing'}
end
if letter.st ~= 'O' then
  return {letter.ra == new_id and 'applied' or 'conflict', letter.ra or '', letter.st}
end
if letter.k == 'workflow' then
  return {'conflict', '', 'O'}
end
if call('EXISTS', job_key(new_id)) == 1 then
  return {'conflict', new_id, 'O'}
end
local twin = live_twin(letter.uk)
if twin then
  return {'conflict', twin.id, 'O'}
end
letter.p = ARGV[7] or letter.p
local row, fields = {r = NOW_TEXT}, {'st', 'P', 'r', NOW_TEXT, 'c', NOW_TEXT, 'rp', id}
for _, name in ipairs({'q', 'n', 'k', 'l', 'o', 'p', 'uk', 'uu', 'ek', 'm', 't', 'd', 'ap', 'og', 'ck', 'cm'}) do
  if letter[name] then
    row[name] = letter[name]
    fields[#fields + 1] = name
    fields[#fields + 1] = letter[name]
  end
end
call('HSET', job_key(new_id), unpack(fields))
move(new_id, row, 'P')
join_key(new_id, row)
if row.ck then
  call('HSETNX', P .. 'km', row.ck, row.cm or '1')
end
place_row(new_id, row)
tell_job('job.enqueued', new_id, row)
if row.uk then
  take_key(row.uk, new_id, nil)
end
decide_letter(id, 'P', new_id)
admit_left()
joined()
settle()
wake()
return {'applied', new_id, 'P'}
