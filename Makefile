# A door to clip2om: the targets and variables of `make help` go to the front end as they were typed. Nothing is decided
# here, and no value is ever part of a command line: variables reach the front end through the environment.

# Targets of a person; clip2om/commands.py has what each does.
RUN = demo run graph export batches preprocess om convert infer accuracy stream report predict parity drift sweep quantize
BESIDE = compare fuse doctor explain npu-selftest checkpoint card
DEVELOP = test test-quick test-pytorch test-tensorflow test-paddle test-mindspore bench torture docs lint browser clean

.DEFAULT_GOAL := help
.PHONY: help $(RUN) $(BESIDE) $(DEVELOP)
MAKEFLAGS += --no-print-directory

# Variables of make's command line are expanded when they are handed on; $(value) keeps them as they were typed.
TYPED := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
$(foreach name,$(TYPED),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))
export CLIP2OM_GIVEN := $(TYPED)
export CLIP2OM_TARGET = $@

help $(RUN) $(BESIDE) $(DEVELOP):
	@"$${PYTHON:-$${VENV_PYTHON:-python3}}" -m clip2om make

# Anything else: the front end says what it may have been.
.DEFAULT:
	@"$${PYTHON:-$${VENV_PYTHON:-python3}}" -m clip2om make
