# How the four programs are compiled. Whoever includes this says in `root` where the sample's folder is.

# The CPU that the programs are for; without it the one of the computer that compiles, as ponyc does it.
target_cpu ?= native
# A build option of Wallaroo's. Here it only shows in `--version`.
resilience ?= off
ifeq ($(filter on off,$(resilience)),)
$(error resilience must be on or off, and not '$(resilience)')
endif

CFLAGS ?= -O2
compile = $(CC) -std=gnu99 -Wall -Wextra $(CFLAGS) -march=$(target_cpu) -I$(root) \
	-DVERSION='"$(shell cat $(root)/VERSION)"' -DTARGET_CPU='"$(target_cpu)"' -DRESILIENCE='"$(resilience)"' \
	-o $@ $(filter %.c,$^) $(LDFLAGS)

# What depends on this is compiled each time. It takes no time, and the variables above may have changed.
.PHONY: FORCE
FORCE:
