//go:build ignore

// SPDX-License-Identifier: GPL-2.0
//
// The arithmetic of package edt at the egress of a device: what becomes of each
// packet, decided when it arrives. Root qdisc of the device is fq, which lets a packet
// go at its time stamp (net/sched/sch_fq.c).
//
// It needs no header of anybody's, so that the object depends on the compiler alone.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define inline inline __attribute__((always_inline))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name

// The head of struct __sk_buff (include/uapi/linux/bpf.h).
struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end, napi_id;
	u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len, gso_segs;
	u64 sk;
	u32 gso_size;
	u8 tstamp_type;
};

struct bpf_spin_lock {
	u32 val;
};

// Helpers by their numbers (include/uapi/linux/bpf.h: __BPF_FUNC_MAPPER).
static void *(*map_lookup)(void *map, const void *key) = (void *)1;
static u64 (*ktime_get_ns)(void) = (void *)5;
static long (*load_bytes)(struct __sk_buff *skb, u32 offset, void *to, u32 len) = (void *)26;
static long (*set_hash)(struct __sk_buff *skb, u32 hash) = (void *)48;
static long (*spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static long (*set_tstamp)(struct __sk_buff *skb, u64 tstamp, u32 type) = (void *)192;

#define ACT_OK 0 // TC_ACT_OK
#define ACT_SHOT 2 // TC_ACT_SHOT
#define DELIVERY_MONO 1 // BPF_SKB_TSTAMP_DELIVERY_MONO
#define ARRAY 2 // BPF_MAP_TYPE_ARRAY
#define MMAPABLE 1024 // BPF_F_MMAPABLE
#define PROTO(n) __builtin_bswap16(n)

// edt/step.go
#define UNIT 1000000ULL // of service in a bit
#define RATE_UNITS 1000ULL // bit/s times ns in a unit
#define MAX_NANO (1ULL << 62)
#define MAX_SPAN (1ULL << 62)
#define ALWAYS 0xffffffffU
#define DOWN (1U << 31)
#define PACKET_UNITS (8 * UNIT)

struct step { // Step of edt/step.go
	u64 t, cum, rate, delay, jitter, limit;
	u32 loss, p, r, loss_good, loss_bad, outages, rest, unused;
};

// What is known of the tape. window says which steps: the bits above 28 are the
// number of steps that have been written, those from 8 on how many of them count, the
// 7 below them the run, which a new tape changes, and the last one that the last state
// is to go on. The last step says where what is known ends.
struct tape {
	u64 window;
	u64 seed[2]; // of a run, by its last bit
	u32 overtake[2];
	u64 unused[4];
};

#define HEAD(w) ((w) >> 28)
#define COUNT(w) ((w) >> 8 & 0xfffff)
#define RUN(w) ((w) >> 1 & 0x7f)
#define HOLD(w) ((w)&1)
#define TAPE_BYTES 64
#define STEP_BYTES 80

enum { DELIVERED, LOST, FULL, OUTAGE, UNKNOWN, FATES }; // edt/model.go

#define WAITS 40 // classes of the time in the queue: below 2^k ns

struct link { // Link of bpf_linux.go
	struct bpf_spin_lock lock;
	u32 run, outages, bad;
	u64 now, cur, passed, v, vcur, left, floor, arrived;
	u64 packets[FATES], bytes[FATES], backlog;
	u64 beyond; // packets whose step was not known in time: the last state went on
	u64 unstamped, segmented;
	u64 waits[WAITS];
	u64 scratch;
};

// Set when it is loaded.
const volatile u64 step_mask = 255; // steps in the ring, less one
const volatile u8 has_set_tstamp = 1; // from Linux 5.18

struct {
	__uint(type, ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct link);
} link SEC(".maps");

struct {
	__uint(type, ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, MMAPABLE);
	__uint(key_size, 4);
	__uint(value_size, TAPE_BYTES + 256 * STEP_BYTES);
} tape SEC(".maps");

#define STEP(t, i) ((volatile struct step *)((char *)(t) + TAPE_BYTES + ((i) & step_mask) * STEP_BYTES))

#define LIFTS 20 // bits of the number of steps that count

// Window.at: the last step of [from, head) that begins no later than now; step from
// does. The next ones are tried first, then those at powers of two. The lower bound
// goes through the map's memory in each round, so that the verifier forgets what it
// knew of it and does not follow 2^LIFTS ways.
static inline u64 at(struct tape *w, volatile u64 *low, u64 from, u64 head, u64 now)
{
	if (from + 1 >= head || STEP(w, from + 1)->t > now)
		return from;
	if (from + 2 >= head || STEP(w, from + 2)->t > now)
		return from + 1;
	*low = from;
	for (int k = LIFTS - 1; k >= 0; k--) {
		u64 i = *low + (1ULL << k);
		if (i < head && STEP(w, i)->t <= now)
			*low = i;
	}
	return *low;
}

// Window.reach: the last step of [from, head) that begins below a position; step from
// does.
static inline u64 reach(struct tape *w, volatile u64 *low, u64 from, u64 head, u64 v)
{
	if (from + 1 >= head || (s64)(v - STEP(w, from + 1)->cum) <= 0)
		return from;
	if (from + 2 >= head || (s64)(v - STEP(w, from + 2)->cum) <= 0)
		return from + 1;
	*low = from;
	for (int k = LIFTS - 1; k >= 0; k--) {
		u64 i = *low + (1ULL << k);
		if (i < head && (s64)(v - STEP(w, i)->cum) > 0)
			*low = i;
	}
	return *low;
}

// edt/draw.go
static inline u64 word(u64 seed, u64 n)
{
	u64 z = seed + (n + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline s64 uniforms(u64 w)
{
	return (s64)((w & 0xffff) + (w >> 16 & 0xffff) + (w >> 32 & 0xffff) + (w >> 48));
}

static inline s64 deviate(u64 seed, u64 k)
{
	return uniforms(word(seed, 4 * k + 1)) + uniforms(word(seed, 4 * k + 2)) + uniforms(word(seed, 4 * k + 3)) - 12 * 0xffff / 2;
}

static inline int below(u32 draw, u32 threshold)
{
	return draw < threshold || threshold == ALWAYS;
}

// Model.lose
static inline int lose(struct link *l, volatile struct step *s, u64 draw)
{
	u32 loss = s->loss_good, move = s->p, r = s->r, bad = s->loss_bad;

	if (!(loss | move | r | bad))
		return below((u32)draw, s->loss);
	if (l->bad) {
		loss = bad;
		move = r;
	}
	if (below((u32)(draw >> 32), move))
		l->bad = !l->bad;
	return below((u32)draw, loss);
}

// The class of a time in the queue.
static inline u32 class(u64 ns)
{
	u32 k = 0;

	if (ns >> 32) {
		ns >>= 32;
		k = 32;
	}
	if (ns >> 16) {
		ns >>= 16;
		k += 16;
	}
	if (ns >> 8) {
		ns >>= 8;
		k += 8;
	}
	if (ns >> 4) {
		ns >>= 4;
		k += 4;
	}
	if (ns >> 2) {
		ns >>= 2;
		k += 2;
	}
	if (ns >> 1) {
		ns >>= 1;
		k += 1;
	}
	k += ns;
	return k < WAITS ? k : WAITS - 1;
}

SEC("tc")
int edt(struct __sk_buff *skb)
{
	u32 zero = 0, protocol = skb->protocol;
	struct link *l = map_lookup(&link, &zero);
	struct tape *w = map_lookup(&tape, &zero);
	u8 group = 0;

	// What routers say to a group on the wire (discovery, membership) is none of the
	// link's packets: it comes when it likes.
	load_bytes(skb, 0, &group, 1);
	if (group & 1)
		return ACT_OK;
	if (!l || !w || (protocol != PROTO(0x0800) && protocol != PROTO(0x86dd)))
		return ACT_OK;
	u64 win = *(volatile u64 *)&w->window;
	u64 head = HEAD(win), tail = head - COUNT(win), last = head - 1;
	if (head == tail)
		return ACT_OK; // no tape yet
	u32 segments = skb->gso_segs, run = RUN(win);
	u64 n = skb->wire_len - 14 * (u64)(segments > 1 ? segments : 1);
	u64 seed = w->seed[run & 1], arrived = 0, k = 0;
	u32 overtake = w->overtake[run & 1];
	u64 time = ktime_get_ns();
	u32 fate;

	spin_lock(&l->lock);
	if (l->run != run) { // a new tape, from its beginning
		l->run = run;
		l->cur = l->vcur = tail;
		l->passed = l->v = l->left = 0;
		l->outages = l->bad = 0;
	}
	if (segments > 1)
		l->segmented++;
	u64 now = time > l->now ? time : l->now;
	u64 i = l->cur > tail ? l->cur : tail;
	volatile struct step *s = STEP(w, i);
	if (now < s->t) {
		fate = UNKNOWN;
		goto count;
	}
	i = at(w, &l->scratch, i, head, now);
	l->now = now;
	l->cur = i;
	s = STEP(w, i);
	u32 outages = s->outages;
	u64 rate = s->rate;
	int known = i < last;
	int waits = l->left > now && !((outages ^ l->outages) & ~DOWN);
	u64 v = 0, backlog = 0, j = i;
	u64 total = STEP(w, last)->cum;
	if (known) {
		u64 served = s->cum + (s->rest + (now - s->t) * rate) / RATE_UNITS;
		v = served;
		if (waits && (s64)(l->v - served) > 0) {
			v = l->v;
			j = l->vcur > i ? l->vcur : i;
		}
		backlog = v - served;
	} else if (waits) {
		u64 wait = l->left - now;
		backlog = MAX_SPAN;
		if (!rate || wait <= MAX_NANO / rate)
			backlog = wait * rate / RATE_UNITS;
	}
	u64 queued = (backlog + PACKET_UNITS - 1) / PACKET_UNITS + n;
	if (outages & DOWN) {
		fate = OUTAGE;
		goto count;
	}
	if (queued > s->limit) {
		fate = FULL;
		goto count;
	}
	u64 left;
	if (known) {
		v += n * PACKET_UNITS;
		s64 over = v - total;
		if (over <= 0) {
			j = reach(w, &l->scratch, j, head, v);
			volatile struct step *d = STEP(w, j);
			u64 r = d->rate, end = STEP(w, j + 1)->t;
			left = d->t + ((v - d->cum) * RATE_UNITS - d->rest + r - 1) / r;
			if (left > end)
				left = end;
		} else {
			volatile struct step *d = STEP(w, last);
			u64 r = d->rate;
			if (!HOLD(win))
				l->beyond++;
			if (!r) {
				fate = HOLD(win) ? FULL : UNKNOWN;
				goto count;
			}
			j = last;
			left = d->t + ((u64)over * RATE_UNITS + r - 1) / r;
		}
	} else {
		if (!HOLD(win))
			l->beyond++;
		if (!rate) {
			fate = HOLD(win) ? FULL : UNKNOWN;
			goto count;
		}
		left = (waits ? l->left : now) + (n * PACKET_UNITS * RATE_UNITS + rate - 1) / rate;
		// Where the tape goes on after all, from there.
		v = total + (left - s->t) * rate / RATE_UNITS;
	}
	l->v = v;
	l->vcur = j;
	l->left = left;
	l->outages = outages;
	if (queued > l->backlog)
		l->backlog = queued;
	s = STEP(w, j);
	if ((s->outages ^ outages) & ~DOWN) {
		fate = OUTAGE;
		goto count;
	}
	// Where the tape was changed, the packets before it keep their times.
	if (left < l->floor)
		left = l->floor;
	l->floor = left;
	l->waits[class(left - now)]++;
	k = l->passed++;
	fate = LOST;
	if (lose(l, s, word(seed, 4 * k)))
		goto count;
	s64 delay = s->delay;
	u64 jitter = s->jitter;
	if (jitter)
		delay += ((s64)jitter * deviate(seed, k)) >> 16;
	arrived = left + (delay > 0 ? delay : 0);
	if (!overtake && arrived < l->arrived)
		arrived = l->arrived;
	if (arrived > l->arrived)
		l->arrived = arrived;
	fate = DELIVERED;
count:
	l->packets[fate]++;
	l->bytes[fate] += n;
	spin_unlock(&l->lock);
	if (fate != DELIVERED)
		return ACT_SHOT;

	// One flow of fq, which keeps the order, or one for each packet; and no band of
	// its own for what the sender marks as control.
	set_hash(skb, overtake ? (u32)k : 1);
	skb->priority = 0;
	if (has_set_tstamp) {
		if (set_tstamp(skb, arrived, DELIVERY_MONO))
			__sync_fetch_and_add(&l->unstamped, 1);
	} else {
		skb->tstamp = arrived;
	}
	return ACT_OK;
}

char terms[] SEC("license") = "GPL";
