# How the four programs are compiled. A makefile that includes this sets `root` to the sample's folder.

# The CPU to compile for. The default is this computer's, as in ponyc.
target_cpu ?= native
# A build option of Wallaroo. Here it only appears in `--version`.
resilience ?= off
ifeq ($(filter on off,$(resilience)),)
$(error resilience must be on or off, and not '$(resilience)')
endif

CFLAGS ?= -O2
compile = $(CC) -std=gnu99 -Wall -Wextra $(CFLAGS) -march=$(target_cpu) -I$(root) \
	-DVERSION='"$(shell cat $(root)/VERSION)"' -DTARGET_CPU='"$(target_cpu)"' -DRESILIENCE='"$(resilience)"' \
	-o $@ $(filter %.c,$^) $(LDFLAGS)

# Targets that depend on this are compiled each time, because the variables above may have changed.
.PHONY: FORCE
FORCE:
