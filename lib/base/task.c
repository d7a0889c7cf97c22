#include "lib/base/task.h"

#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

/* Only what is touched is there.  Frames are several times larger with the sanitizer. */
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES (16u << 20)
#else
#define STACK_BYTES (2u << 20)
#endif
#define GUARD_BYTES 4096u
#define BREATHS_PER_LOOK 16 /* at the clock */

struct task {
	void (*fn)(void *arg);
	void *arg;
	char *stack; /* mapped; its lowest page is the guard */
	ucontext_t here, back;
	struct task *outer; /* who runs it, while it runs */
	uint64_t slice_end_ns; /* UINT64_MAX: no end */
	unsigned breaths, holds;
	bool begun, ended;
#ifdef WITH_ASAN
	void *fake_here, *fake_back;
	const void *back_stack;
	size_t back_bytes;
#endif
};

struct task *task_current;

/* ---- the sanitizer wants to know which stack it is on */

static void
leaving_for_task(struct task *t)
{
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(
	    &t->fake_back, t->stack + GUARD_BYTES, STACK_BYTES - GUARD_BYTES);
#endif
}

static void
arrived_in_task(struct task *t)
{
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(t->fake_here, &t->back_stack, &t->back_bytes);
#endif
}

/* Its stack goes for good when it has ended. */
static void
leaving_task(struct task *t)
{
#ifdef WITH_ASAN
	__sanitizer_start_switch_fiber(
	    t->ended ? NULL : &t->fake_here, t->back_stack, t->back_bytes);
#endif
}

static void
arrived_back(struct task *t)
{
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(t->fake_back, NULL, NULL);
#endif
}

/* ---- switching */

/* makecontext() passes ints: the pointer comes in two. */
static void
enter(unsigned high, unsigned low)
{
	struct task *t = (struct task *)((uintptr_t)high << 32 | (uintptr_t)low);

	arrived_in_task(t);
	t->fn(t->arg);
	t->ended = true;
	leaving_task(t);
	swapcontext(&t->here, &t->back);
	UNREACHABLE();
}

static void
step(struct task *t, uint64_t slice_end_ns)
{
	ASSERT(!t->ended && t->outer == NULL && task_current != t);
	t->begun = true;
	t->slice_end_ns = slice_end_ns;
	t->breaths = 0;
	t->outer = task_current;
	task_current = t;
	leaving_for_task(t);
	swapcontext(&t->back, &t->here);
	arrived_back(t);
	task_current = t->outer;
	t->outer = NULL;
}

void
task_breathe_now(void)
{
	struct task *t = task_current;

	if (t->holds || t->slice_end_ns == UINT64_MAX || ++t->breaths % BREATHS_PER_LOOK ||
	    clock_mono_ns() < t->slice_end_ns)
		return;
	leaving_task(t);
	swapcontext(&t->here, &t->back);
	arrived_in_task(t);
}

void
task_hold(void)
{
	if (task_current)
		task_current->holds++;
}

void
task_release(void)
{
	if (task_current) {
		ASSERT(task_current->holds > 0);
		task_current->holds--;
	}
}

/* ---- life */

struct task *
task_new(void (*fn)(void *arg), void *arg)
{
	struct task *t = mem_new(struct task);
	uintptr_t self = (uintptr_t)t;

	t->fn = fn;
	t->arg = arg;
	t->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	ASSERT(t->stack != MAP_FAILED);
	ASSERT(mprotect(t->stack, GUARD_BYTES, PROT_NONE) == 0);
	getcontext(&t->here);
	t->here.uc_stack.ss_sp = t->stack + GUARD_BYTES;
	t->here.uc_stack.ss_size = STACK_BYTES - GUARD_BYTES;
	t->here.uc_link = NULL;
	makecontext(&t->here, (void (*)(void))enter, 2, (unsigned)(self >> 32), (unsigned)self);
	return t;
}

bool
task_run(struct task *t, uint64_t slice_ns)
{
	step(t, clock_mono_ns() + slice_ns);
	return !t->ended;
}

void
task_finish(struct task *t)
{
	if (!t->ended)
		step(t, UINT64_MAX);
}

void
task_free(struct task **tp)
{
	struct task *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	ASSERT(t->ended || !t->begun);
	munmap(t->stack, STACK_BYTES);
	mem_free(t);
}
