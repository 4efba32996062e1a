-- Offers of URLs to a job.

-- Adds to the histogram of rejected links, and to the samples while there is room. `rejects` is a row of
-- code, count, samples (JSON array of texts).
local function keep_rejects(base, job, j, rejects)
    for at = 1, #rejects, 3 do
        local code, count, samples = rejects[at], rejects[at + 1], rejects[at + 2]
        redis.call('HINCRBY', j.key, 'x:' .. code, count)
        if #samples > 0 then
            local kept = redis.call('HGET', base .. 'x' .. job, code)
            kept = kept and cjson.decode(kept) or {}
            local n_kept = #kept
            for _, text in ipairs(samples) do
                if #kept < MAX_SAMPLES then
                    kept[#kept + 1] = text
                end
            end
            if #kept > n_kept then
                redis.call('HSET', base .. 'x' .. job, code, cjson.encode(kept))
            end
        end
    end
end

-- How many of the offered URLs are new, each counted once.
local function count_new(base, job, j, A, from)
    local n = n_buckets(j.d)
    local met, n_new = {}, 0
    for at = from, #A, 4 do
        local key = A[at + 2]
        if not met[key] then
            met[key] = true
            n_new = n_new + 1 - redis.call('HEXISTS', seen_key(base, job, n, key), key)
        end
    end
    return n_new
end

-- Writes the offered URLs for which there is room. Lists are pushed at the end, one call each.
local function insert(base, job, j, m, hosts, A, from, slack, now)
    local done = { n_seen = 0, n_over = 0, over = {}, counts = {}, lists = {} }
    local n = n_buckets(j.d)
    for at = from, #A, 4 do
        local place, level, key, offered = A[at], A[at + 1], A[at + 2], A[at + 3]
        local seen = seen_key(base, job, n, key)
        local is_new
        if slack > 0 then
            is_new = redis.call('HSETNX', seen, key, hosts[place].mark) == 1
        else
            is_new = redis.call('HEXISTS', seen, key) == 0
        end
        if not is_new then
            done.n_seen = done.n_seen + 1
        elseif slack <= 0 then
            done.n_over = done.n_over + 1
            if #done.over < MAX_SAMPLES then
                done.over[#done.over + 1] = string.sub(text_of(string.rep(' ', 28) .. offered), 1, MAX_SAMPLE_BYTES)
            end
        else
            slack = slack - 1
            j.d = j.d + 1
            if n_buckets(j.d) > n then
                split(base, job, n)
                n = n + 1
            end
            local list = list_key(base, hosts[place].number, job, level)
            local records = done.lists[list]
            if not records then
                records = { place = place, level = level }
                done.lists[list] = records
            end
            records[#records + 1] = new_record(key, now, m.age, offered)
            m.age = m.age + 1
            done.counts[place] = (done.counts[place] or 0) + 1
        end
    end
    return done
end

local function push_lists(base, job, hosts, done)
    local shares = {}
    for place, count in pairs(done.counts) do
        local number = hosts[place].number
        local share = read_share(redis.call('HGET', base .. 'hj' .. number, job))
        note_host(base, number, share.q + share.l, 1)
        share.q = share.q + count
        shares[place] = share
    end
    for list, records in pairs(done.lists) do
        redis.call('RPUSH', list, unpack(records))
        add_level(shares[records.place], tonumber(records.level))
    end
    for place, share in pairs(shares) do
        write_share(base, hosts[place].number, job, share)
    end
end

-- claim, now, job, grant, number of the grant, is_last, n_rejects, rejects × 3, n_hosts, hosts, then per URL:
-- place of its host, level, key, what was offered.
-- → 'unknown' (the shard has no copy of the job), 'final', 'need' and how many places the shard must hold in all
--   (nothing was written), or 'ok', n_seen, n_over, then place and count of newly queued URLs.
call('admit', {}, function(KEYS, A)
    local base, job, now = KEYS[1], A[5], tonumber(A[4])
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local j = read_job(base, job)
    if not j then
        return { 'unknown' }
    elseif is_final(j.state) then
        return { 'final' }
    end
    local held = redis.call('HMGET', j.key, 'grant', 'grants')
    local grant, is_raised = num(held[1]), tonumber(A[7]) > num(held[2])
    if is_raised then
        grant = tonumber(A[6])
    end
    local at = 10 + 3 * tonumber(A[9])
    local from = at + 1 + tonumber(A[at])
    local n_used = j.q + j.l + j.s + j.u
    local slack = grant - n_used
    if A[8] == '1' and A[7] ~= '0' and not is_raised then
        -- The part came late: another one was given or taken in between.
        return { 'need', int(n_used) }
    end
    if slack < (#A - from + 1) / 4 and A[8] ~= '1' then
        local n_new = count_new(base, job, j, A, from)
        if n_new > slack then
            return { 'need', int(n_used + n_new) }
        end
    end
    local hosts, rejects = {}, {}
    for place = 1, tonumber(A[at]) do
        local number = intern(base, A[at + place], m)
        hosts[tostring(place)] = { number = number, mark = int(-1 - tonumber(number)) }
    end
    for n = 10, at - 1, 3 do
        rejects[#rejects + 1] = A[n]
        rejects[#rejects + 1] = A[n + 1]
        rejects[#rejects + 1] = cjson.decode(A[n + 2])
    end
    if is_raised then
        redis.call('HSET', j.key, 'grant', A[6], 'grants', A[7])
    end
    local n_before = j.d
    local done = insert(base, job, j, m, hosts, A, from, slack, now)
    if done.n_over > 0 then
        rejects[#rejects + 1] = OVER_BUDGET
        rejects[#rejects + 1] = done.n_over
        rejects[#rejects + 1] = done.over
    end
    if j.d > n_before then
        push_lists(base, job, hosts, done)
        redis.call('HSET', j.key, 'd', j.d, 'q', int(j.q + j.d - n_before))
        redis.call('HSET', base .. 'm', 'age', int(m.age))
    end
    keep_rejects(base, job, j, rejects)
    local answer = { 'ok', done.n_seen, done.n_over }
    for place, count in pairs(done.counts) do
        answer[#answer + 1] = tonumber(place)
        answer[#answer + 1] = count
    end
    return answer
end)
