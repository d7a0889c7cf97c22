# baton: the only makefile.
#
#   make            optimised programs: build/baton build/batonctl build/batonstat
#   make run        install what is missing, build, start the quickstart
#   make demo-hitless  a service is deployed three times behind baton, under load: no request fails
#   make test       install what is missing, build with ASan+UBSan, run every test
#   make check      unit tests only (no installing)
#   make fuzz       each fuzzer for FUZZ_SECONDS on its corpus (clang)
#   make layers     prove the include order of docs/architecture.md
#   make soak       RESTARTS=50 RELOADS=50 DEADLINES=12 KILLS=20 KILLPOINTS=500: clients of every kind while
#                   baton is changed and killed
#   make soak-peers the same clients on baton, nginx and haproxy while each is reloaded
#   make limits     instructions and system calls a request, against what they may be at most
#   make pgo        the programs once more, into $(B)/pgo: optimised for what a short run showed
#   make bench      CPU per request beside nginx and haproxy
#   make docs       docs/stats.md and the man pages from the .def tables, into $(B)/doc
#   make install    PREFIX=/usr/local DESTDIR=
#
# Variables: CC, B (build folder), SAN=1 (sanitizers), WERROR=1, OPT, LTO= (none: quicker links).

B       ?= build
CC      ?= gcc
PREFIX  ?= /usr/local
DESTDIR ?=
PROTOC  ?= protoc
FUZZ_SECONDS ?= 10

VERSION := 0.1.0

ifeq ($(SAN),1)
OPT   ?= -O1 -fno-omit-frame-pointer
SANFL := -fsanitize=address,undefined -fno-sanitize-recover=undefined
else
OPT   ?= -O2
SANFL :=
# Only programs are linked with it: objects carry both, tests link the plain half.
ifeq (,$(findstring clang,$(CC)))
LTO   ?= -flto=auto
endif
endif
ifeq ($(WERROR),1)
WERR := -Werror
endif
# make pgo: a build that counts, then one that was told.
ifeq ($(PROFILE),generate)
PROFL := -fprofile-generate -fprofile-update=single -DPROFILE_GENERATE
endif
ifeq ($(PROFILE),use)
PROFL := -fprofile-use -fprofile-partial-training -Wno-missing-profile
endif

WARN    := -Wall -Wextra $(WERR) -Wno-unused-parameter -Wshadow=local -Wpointer-arith \
           -Wstrict-prototypes -Wmissing-prototypes -Wvla
ifneq (,$(findstring clang,$(CC)))
WARN    := $(filter-out -Wshadow=local,$(WARN)) -Wno-gnu-variable-sized-type-not-at-end
endif
CFLAGS  ?= -g
LTOCC   := $(if $(LTO),$(LTO) -ffat-lto-objects)
BCFLAGS := -std=gnu11 $(OPT) $(PROFL) $(LTOCC) $(CFLAGS) $(SANFL) $(WARN) -fstack-protector-strong -D_GNU_SOURCE \
           -D_FORTIFY_SOURCE=$(if $(SAN),0,2) -DBATON_VERSION='"$(VERSION)"' -I. -I$(B)/gen
BLDFLAGS := $(SANFL) $(PROFL) $(LDFLAGS) -Wl,-z,relro,-z,now

# ---- sources: each folder is one line; what a program links is below
SRC_base     := $(sort $(wildcard lib/base/*.c))
SRC_event    := $(sort $(wildcard lib/event/*.c))
SRC_ipc      := $(sort $(wildcard lib/ipc/*.c))
SRC_net      := $(sort $(wildcard lib/net/*.c))
SRC_shm      := $(sort $(wildcard shm/*.c))
SRC_conf     := $(sort $(wildcard conf/*.c))
SRC_http     := $(sort $(wildcard lib/http/*.c))
SRC_upstream := $(sort $(wildcard lib/upstream/*.c lib/upstream/lb/*.c))
SRC_master   := $(sort $(wildcard master/*.c))
SRC_admin    := $(sort $(wildcard admin/*.c admin/*/*.c))
SRC_worker   := $(sort $(wildcard worker/*.c worker/*/*.c))
SRC_harness  := $(sort $(wildcard tests/harness/*.c))

PROTOS := $(sort $(shell find proto -name '*.proto'))
GEN_C  := $(PROTOS:proto/%.proto=$(B)/gen/%.pb-c.c)
GEN_O  := $(GEN_C:.c=.o)

OBJ = $(patsubst %.c,$(B)/o/%.o,$(foreach d,$(1),$(SRC_$(d))))

BATON_O  := $(filter-out $(B)/o/master/main.o,$(call OBJ,base event ipc net shm conf http upstream master admin worker))
BATON_M  := $(B)/o/master/main.o
CTL_O    := $(B)/o/tools/batonctl.o $(B)/o/shm/paths.o $(call OBJ,base event ipc)
STAT_O   := $(patsubst %.c,$(B)/o/%.o,$(sort $(wildcard tools/batonstat*.c))) $(call OBJ,base shm)
ORIGIN_O := $(patsubst %.c,$(B)/o/%.o,$(wildcard tools/origin*.c) tools/sha1.c)

LIBS_EVENT  := -levent_core
LIBS_BASE   := -lpcre2-8 -lxxhash -lm
LIBS_BATON  := $(LIBS_BASE) $(LIBS_EVENT) -lcares -lyaml -ljansson -lprotobuf-c -lhttp_parser -lnghttp2 \
               -lssl -lcrypto -lcap-ng
LIBS_CTL    := $(LIBS_BASE) $(LIBS_EVENT)
LIBS_STAT   := $(LIBS_BASE) -lncursesw -ltinfo

PROGRAMS := $(B)/baton $(B)/batonctl $(B)/batonstat

.PHONY: all
all: $(PROGRAMS)

# ---- generated code
$(B)/gen/%.pb-c.c: proto/%.proto
	@mkdir -p $(B)/gen
	@$(PROTOC) --proto_path=proto --plugin=protoc-gen-c=$$(command -v protoc-gen-c) --c_out=$(B)/gen $<
$(B)/gen/.stamp: $(GEN_C)
	@mkdir -p $(B)/gen
	@touch $@
$(B)/gen/%.pb-c.o: $(B)/gen/%.pb-c.c $(B)/gen/.stamp
	@$(CC) -std=gnu11 $(OPT) $(PROFL) $(CFLAGS) $(SANFL) -w -I$(B)/gen -c -o $@ $<

# ---- compile and link
$(B)/o/%.o: %.c $(B)/gen/.stamp
	@mkdir -p $(dir $@)
	@echo "  CC   $<"
	@$(CC) $(BCFLAGS) -MMD -MP -c -o $@ $<

LINK = @echo "  LINK $@"; $(CC) $(BLDFLAGS) $(if $(LTO),-fno-lto) -o $@ $(1) $(2)
LINK_LTO = @echo "  LINK $@"; $(CC) $(BLDFLAGS) $(if $(LTO),$(LTO) $(OPT)) -o $@ $(1) $(2)

$(B)/baton: $(BATON_M) $(BATON_O) $(GEN_O)
	$(call LINK_LTO,$^,$(LIBS_BATON))
$(B)/batonctl: $(CTL_O)
	$(call LINK,$^,$(LIBS_CTL))
$(B)/batonstat: $(STAT_O)
	$(call LINK_LTO,$^,$(LIBS_STAT))
$(B)/forwarder: $(B)/o/tests/bench/forwarder.o
	$(call LINK,$^,)
$(B)/load: $(patsubst %,$(B)/o/tests/bench/%.o,load load_conn load_turns)
	$(call LINK,$^,)
$(B)/took: $(B)/o/tests/bench/took.o
	$(call LINK,$^,)
$(B)/origin: $(ORIGIN_O) $(call OBJ,base)
	$(call LINK,$^,$(LIBS_BASE))

# ---- the soak
SOAK_O := $(patsubst %.c,$(B)/o/%.o,$(sort $(wildcard tests/soak/*.c))) $(call OBJ,base)
$(B)/soak: $(SOAK_O)
	$(call LINK,$^,$(LIBS_BASE) -lnghttp2)

.PHONY: soak soak-peers
soak: RESTARTS ?= 50
soak: RELOADS ?= 50
soak: DEADLINES ?= 12
soak: KILLS ?= 20
soak: KILLPOINTS ?= 500
soak: all $(B)/origin $(B)/soak
	@LAST=$$(B=$(B) tools/last-build.sh); export LAST; \
		B=$(B) RESTARTS=$(RESTARTS) RELOADS=$(RELOADS) DEADLINES=$(DEADLINES) KILLS=$(KILLS) KILLPOINTS=$(KILLPOINTS) \
		$(B)/soak baton
soak-peers: RELOADS ?= 50
soak-peers: all $(B)/origin $(B)/soak
	@export PATH="$$PATH:/usr/sbin"; for p in baton nginx haproxy; do \
		if [ $$p = baton ] || command -v $$p >/dev/null; then B=$(B) RELOADS=$(RELOADS) $(B)/soak $$p; \
		else echo "soak: $$p is not installed, left out (apt-get install nginx-light haproxy)"; fi; \
	done

# ---- programs made for what they mostly do (gcc): fewer instructions, and a run in the middle
.PHONY: pgo
pgo: $(B)/origin
	@rm -rf $(B)/pgo
	@$(MAKE) --no-print-directory B=$(B)/pgo PROFILE=generate $(B)/pgo/baton
	@B=$(B) tests/bench/train.sh $(B)/pgo
	@find $(B)/pgo -name '*.o' -delete
	@rm $(B)/pgo/baton
	@$(MAKE) --no-print-directory B=$(B)/pgo PROFILE=use all

# ---- documents made from tables
$(B)/statdoc: $(B)/o/tools/statdoc.o $(call OBJ,base shm)
	$(call LINK,$^,$(LIBS_BASE))
$(B)/doc/stats.md: $(B)/statdoc
	@mkdir -p $(B)/doc
	@$(B)/statdoc >$@
$(B)/mandoc: $(B)/o/tools/mandoc.o $(call OBJ,base)
	$(call LINK,$^,$(LIBS_BASE))
MAN := $(B)/doc/baton.8 $(B)/doc/batonctl.1 $(B)/doc/batonstat.1
$(MAN): $(B)/mandoc
	@mkdir -p $(B)/doc
	@$(B)/mandoc $(basename $(notdir $@)) >$@
.PHONY: docs
docs: $(B)/doc/stats.md $(MAN)

# ---- unit tests: tests/unit/<folder>/test_<file>.c is one program
UNIT_SRC := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
$(B)/unit/%: $(B)/o/tests/unit/%.o $(BATON_O) $(GEN_O)
	@mkdir -p $(dir $@)
	$(call LINK,$^,-lcmocka $(LIBS_BATON))

# ---- integration scenes: tests/integration/test_<behaviour>.c is one program
SCENE_SRC := $(sort $(wildcard tests/integration/test_*.c))
SCENE_BIN := $(SCENE_SRC:tests/integration/%.c=$(B)/scene/%)
$(B)/scene/%: $(B)/o/tests/integration/%.o $(call OBJ,harness base event ipc net shm http)
	@mkdir -p $(dir $@)
	$(call LINK,$^,-lcmocka $(LIBS_BATON))

.PHONY: unit scenes check test
unit: $(UNIT_BIN)
scenes: $(SCENE_BIN) $(PROGRAMS) $(B)/origin $(B)/soak

check: unit
	@tools/run-tests.sh $(UNIT_BIN)

test: deps
	@$(MAKE) --no-print-directory B=build/san SAN=1 unit scenes
	@B=build/san tools/run-tests.sh $$($(MAKE) -s --no-print-directory B=build/san SAN=1 list-tests)
	@$(MAKE) --no-print-directory limits

# What a request may cost, counted on the released build.
.PHONY: limits
limits: all $(B)/origin $(B)/load
	@B=$(B) tests/bench/limits.sh

.PHONY: list-tests
list-tests:
	@echo $(UNIT_BIN) $(SCENE_BIN)

# ---- fuzzers: tests/fuzz/fuzz_<parser>.c with tests/fuzz/corpus/<parser>/
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)
$(B)/fuzz/%: $(B)/o/tests/fuzz/%.o $(BATON_O) $(GEN_O)
	@mkdir -p $(dir $@)
	@echo "  LINK $@"; $(CC) $(BLDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS_BATON)
# ---- micro benches: tests/bench/micro_<part>.c, for instruction counts
$(B)/bench/%: $(B)/o/tests/bench/%.o $(BATON_O) $(GEN_O)
	@mkdir -p $(dir $@)
	$(call LINK,$^,$(LIBS_BATON))

.PHONY: fuzz fuzzers
fuzzers: $(FUZZ_BIN)
fuzz:
	@$(MAKE) --no-print-directory CC=clang B=build/fuzz SAN=1 CFLAGS='-g -fsanitize=fuzzer-no-link' fuzzers
	@B=build/fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) tools/run-fuzzers.sh

.PHONY: layers
layers:
	@tools/layers.sh

# ---- set-up, demo, bench, install
.PHONY: deps run demo-hitless bench install clean
deps:
	@tools/install-deps.sh test
run:
	@tools/install-deps.sh build
	@$(MAKE) --no-print-directory all $(B)/origin
	@B=$(B) tools/quickstart.sh
demo-hitless:
	@tools/install-deps.sh demo
	@$(MAKE) --no-print-directory all
	@B=$(B) node examples/hitless-deploy/run.js
	@B=$(B) node examples/hitless-deploy/run.js --restarts
bench:
	@tools/install-deps.sh bench
	@$(MAKE) --no-print-directory all $(B)/origin $(B)/forwarder $(B)/load $(B)/took
	@B=$(B) tests/bench/bench.sh

install: all docs
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/baton/examples \
	    $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/doc/baton \
	    $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(B)/baton $(DESTDIR)$(PREFIX)/sbin/baton
	install -m 755 $(B)/batonctl $(B)/batonstat $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(B)/doc/baton.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 $(B)/doc/batonctl.1 $(B)/doc/batonstat.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 README.md LICENSE docs/*.md $(B)/doc/stats.md $(DESTDIR)$(PREFIX)/share/doc/baton/
	tar -C examples --exclude=node_modules -cf - . | tar -C $(DESTDIR)$(PREFIX)/share/baton/examples -xf -
	sed 's|/usr/local/|$(PREFIX)/|' examples/systemd/baton.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/baton.service
	chmod 644 $(DESTDIR)$(PREFIX)/lib/systemd/system/baton.service

clean:
	rm -rf build

.SECONDARY:
-include $(shell find $(B)/o -name '*.d' 2>/dev/null)
