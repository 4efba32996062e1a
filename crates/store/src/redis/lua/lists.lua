-- Answers that change nothing.

-- Adds a host to an answer: name, queued of running jobs, leased, earliest start, text of the first URL or ''.
local function add_host(answer, base, number, m)
    local host = read_host(base, number, m)
    local n_queued, n_leased, first = 0, 0, ''
    for _, turn in ipairs((turns_of(base, number))) do
        n_leased = n_leased + turn.share.l
        if turn.state == 'R' then
            n_queued = n_queued + turn.share.q
            if first == '' and turn.share.q > 0 then
                local record = front(base, number, turn)
                if not record then
                    record = string.sub(redis.call('ZRANGE', base .. 'w' .. number .. ':' .. turn.job, 0, 0)[1], 6)
                end
                first = text_of(record)
            end
        end
    end
    answer[#answer + 1] = host.name
    answer[#answer + 1] = n_queued
    answer[#answer + 1] = n_leased
    answer[#answer + 1] = int(not_before(host, m, 0, host.delay))
    answer[#answer + 1] = first
end

-- Hosts of the shard. claim, host numbers → those hosts
call('hosts', { 'no-writes' }, function(KEYS, A)
    local base = KEYS[1]
    local m = claimed(base, A)
    if not m then
        return redis.error_reply(FENCED)
    end
    local answer = {}
    for at = 4, #A do
        add_host(answer, base, A[at], m)
    end
    return answer
end)

-- One host, whoever owns the shard. host → that host; nothing when it was never seen
call('host', { 'no-writes' }, function(KEYS, A)
    local base, answer = KEYS[1], {}
    local number = redis.call('HGET', base .. 'hn', A[1])
    local era = redis.call('HGET', base .. 'm', 'era')
    if number and era then
        local gen, since, lossy = string.match(era, '^(%d+) (%d+) (%d+)$')
        add_host(answer, base, number, { gen = gen, since = tonumber(since), lossy = tonumber(lossy) })
    end
    return answer
end)

-- What waits in the shard: hosts, queued of running jobs, leased.
call('load', { 'no-writes' }, function(KEYS)
    local base, n_queued = KEYS[1], 0
    for _, job in ipairs(redis.call('SMEMBERS', base .. 'jobs')) do
        local j = read_job(base, job)
        if j and j.state == 'R' then
            n_queued = n_queued + j.q
        end
    end
    return { redis.call('SCARD', base .. 'a'), n_queued, redis.call('HLEN', base .. 'l') }
end)

-- What a job knows of a URL. job, page key → the number of lua/seen.lua; false when it never took it
call('seen', { 'no-writes' }, function(KEYS, A)
    local base = KEYS[1]
    local j = read_job(base, A[1])
    return j and redis.call('HGET', seen_key(base, A[1], n_buckets(j.d), A[2]), A[2])
end)

-- A host's queue. claim, now, host, limit → per live job, the next first: id, tenant, last turn, records in order of
-- service (none when the job is not served)
call('peek', { 'no-writes' }, function(KEYS, A)
    local base, limit = KEYS[1], tonumber(A[6])
    if not claimed(base, A) then
        return redis.error_reply(FENCED)
    end
    local number, answer = redis.call('HGET', base .. 'hn', A[5]), {}
    if not number then
        return answer
    end
    for _, turn in ipairs((turns_of(base, number))) do
        local records = {}
        if is_served(turn) then
            for _, level in ipairs(levels_of(turn.share)) do
                if #records < limit then
                    for _, record in ipairs(redis.call('LRANGE', list_key(base, number, turn.job, level), 0, limit - #records - 1)) do
                        records[#records + 1] = record
                    end
                end
            end
            if turn.share.r > 0 then
                for _, record in ipairs(redis.call('ZRANGE', base .. 'r' .. number .. ':' .. turn.job, 0, limit - 1)) do
                    records[#records + 1] = record
                end
            end
            if turn.share.w > 0 then
                -- As many as a lease would promote: they come by time, and the first by rank may be a later one.
                local due = redis.call('ZRANGEBYSCORE', base .. 'w' .. number .. ':' .. turn.job, '-inf', A[4], 'LIMIT', 0, math.max(limit, MAX_MOVED))
                for _, member in ipairs(due) do
                    records[#records + 1] = string.sub(member, 6)
                end
            end
        end
        answer[#answer + 1] = { turn.id, turn.tenant, turn.share.turn, records }
    end
    return answer
end)

-- Where records of a job lie, in the order in which they move: queues, leases, ends. job → key, length, bytes before the
-- record, kind (l list, z sorted set, h hash)
call('places', { 'no-writes' }, function(KEYS, A)
    local base, job, answer = KEYS[1], A[1], {}
    local function add(key, length, skip, kind)
        if length > 0 then
            answer[#answer + 1] = { key, length, skip, kind }
        end
    end
    for _, host in ipairs(redis.call('SMEMBERS', base .. 'a')) do
        local packed = redis.call('HGET', base .. 'hj' .. host, job)
        if packed then
            local share = read_share(packed)
            for _, level in ipairs(levels_of(share)) do
                local list = list_key(base, host, job, level)
                add(list, redis.call('LLEN', list), 0, 'l')
            end
            add(base .. 'w' .. host .. ':' .. job, share.w, 5, 'z')
            add(base .. 'r' .. host .. ':' .. job, share.r, 0, 'z')
        end
    end
    add(base .. 'l', redis.call('HLEN', base .. 'l'), 14, 'h')
    add(base .. 'f' .. job, redis.call('LLEN', base .. 'f' .. job), 11, 'l')
    add(base .. 't' .. job, redis.call('LLEN', base .. 't' .. job), 11, 'l')
    return answer
end)

-- Counters against what they count, in one step. → findings in words
call('audit', { 'no-writes' }, function(KEYS)
    local base, findings = KEYS[1], {}
    local sums, n_out = {}, 0
    local function expect(what, left, right)
        if left ~= right then
            findings[#findings + 1] = what .. ': ' .. tostring(left) .. ', counted ' .. tostring(right)
        end
    end
    local n_hosts = num(redis.call('HGET', base .. 'm', 'hosts'))
    for host = 1, n_hosts do
        local packed = redis.call('HGETALL', base .. 'hj' .. host)
        local n_open, n_leased = 0, 0
        for at = 1, #packed, 2 do
            local job, share = packed[at], read_share(packed[at + 1])
            local sum = sums[job] or { q = 0, l = 0 }
            sums[job] = { q = sum.q + share.q, l = sum.l + share.l }
            n_open = n_open + share.q + share.l
            n_leased = n_leased + share.l
            local n_listed = 0
            for _, level in ipairs(levels_of(share)) do
                local length = redis.call('LLEN', list_key(base, host, job, level))
                expect('host ' .. host .. ' has an empty level', length > 0, true)
                n_listed = n_listed + length
            end
            expect('host ' .. host .. ', waiting', share.w, redis.call('ZCARD', base .. 'w' .. host .. ':' .. job))
            expect('host ' .. host .. ', put back', share.r, redis.call('ZCARD', base .. 'r' .. host .. ':' .. job))
            expect('host ' .. host .. ', queued', share.q, n_listed + share.w + share.r)
        end
        expect('host ' .. host .. ' is active', redis.call('SISMEMBER', base .. 'a', host) == 1, n_open > 0)
        local _, n = string.gsub(redis.call('HGET', base .. 'h' .. host, 'out') or '', '[^,]+', '')
        expect('host ' .. host .. ', leases', n_leased, n)
        n_out = n_out + n
    end
    expect('leases of the shard', redis.call('HLEN', base .. 'l'), n_out)
    for _, job in ipairs(redis.call('SMEMBERS', base .. 'jobs')) do
        local j = read_job(base, job)
        local sum = sums[job] or { q = 0, l = 0 }
        expect('job ' .. job .. ', queued', j.q, sum.q)
        expect('job ' .. job .. ', leased', j.l, sum.l)
        expect('job ' .. job .. ', dead letters', j.f, redis.call('LLEN', base .. 'f' .. job))
        expect('job ' .. job .. ', discovered', j.d, j.q + j.l + j.s + j.u + j.k + j.f)
        local n_seen = 0
        for bucket = 0, n_buckets(j.d) - 1 do
            n_seen = n_seen + redis.call('HLEN', base .. 's' .. job .. ':' .. bucket)
        end
        expect('job ' .. job .. ', seen', j.d, n_seen)
    end
    return findings
end)
