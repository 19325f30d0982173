# From checkpoint to accuracy. Each stage decides by digests whether it has anything to do, so every target may be
# asked for at any time: what is up to date is left alone.
#
# Variables are the stages' options in capitals: make accuracy MAX_CLIPS=10 is postprocess --max-clips 10.

MODEL ?= 3d_resnet
# An entry of the card, or of SET where that overrides it, without quotes.
entry = $(or $(patsubst $(1).$(2)=%,%,$(filter $(1).$(2)=%,$(SET))),$(shell sed -n 's/^$(2) *= *"*\([^"]*\)"*$$/\1/p' models/$(MODEL).toml 2>/dev/null))
ifndef BATCH
BATCH := $(or $(call entry,input,batch),10)
endif
BATCHES ?= 1,2,4,8,10,16
CALIBRATION ?= 300
K ?= 1
SOC ?= auto
BUILD ?= build/$(MODEL)
VENV ?= .venv
VENV_PYTHON ?= python3

# auto is looked up once, so that the folders carry the chip's name, as those of the stages do.
ifeq ($(SOC),auto)
override SOC := $(or $(shell $(or $(PYTHON),$(VENV_PYTHON)) -c "from clip2om.pipeline.soc import resolve; print(resolve('auto'))" 2>/dev/null),auto)
endif
comma := ,
# BATCH=1,4,8 makes one model per batch size, DYNAMIC_BATCH=1,4,8 one model for all: both from a symbolic graph.
SEVERAL := $(findstring $(comma),$(BATCH))
# PRECISION=int8 is a model of its own; bf16 is other arithmetic with the same model.
INT8 := $(filter int8,$(PRECISION))
RUN := $(SOC)-$(if $(DYNAMIC_BATCH),dynamic,b$(BATCH))$(if $(INT8),-int8)
SCORED := $(RUN)$(if $(filter bf16,$(PRECISION)),-bf16)
GRAPH_BATCH := $(if $(DYNAMIC_BATCH)$(SEVERAL),--dynamic-batch,--batch $(BATCH) --reuse-dynamic)
CARD = --model $(MODEL) $(foreach entry,$(SET),--set $(entry)) $(if $(QUIET),--quiet)
ifneq ($(and $(INT8),$(DYNAMIC_BATCH)$(SEVERAL)),)
$(error PRECISION=int8 takes one batch size, BATCH=N)
endif
ifneq ($(words $(BUILD) $(MODEL) $(SOC) $(BATCH)),4)
$(error BUILD, MODEL, SOC and BATCH take one word each: make cannot handle blanks in them)
endif

# $(call option,--name,VARIABLE): the option, if the variable is set
option = $(if $($(2)),$(1) '$($(2))')
CONVERT = $(CORE) -m convert $(CARD) --graph $(dir $(GRAPH)) --soc $(SOC) $(call option,--format,FORMAT) \
  $(call option,--precision-mode,PRECISION_MODE) $(call option,--out-nodes,OUT_NODES) \
  $(call option,--op-select-implmode,OP_SELECT_IMPLMODE) $(call option,--log,ATC_LOG) \
  $(foreach word,$(ATC_ARG),--atc-arg=$(word)) $(if $(DRY_RUN),--dry-run) \
  $(if $(INT8),--precision int8 --calibration $(dir $(CALIBRATED)) --calibration-clips $(CALIBRATION))
QUANTIZE = $(CORE) -m scripts.quantize $(CARD) --build $(BUILD) --batch $(BATCH) --calibration-clips $(CALIBRATION) \
  $(call option,--max-accuracy-drop,MAX_ACCURACY_DROP) $(call option,--max-clips,MAX_CLIPS)

ENGINE_OPTIONS = $(call option,--engine,ENGINE) $(call option,--devices,DEVICES) $(call option,--precision,PRECISION) \
  $(call option,--streams,STREAMS) $(call option,--requests,REQUESTS)
INFER = $(RUNNER) -m infer $(CARD) --compiled $(dir $(COMPILED)) --batches $(dir $(MANIFEST)) \
  $(ENGINE_OPTIONS) $(call option,--warmup,WARMUP) $(call option,--output-format,OUTPUT_FORMAT) $(if $(VERIFY),--verify)

# Each framework has a virtual environment of its own, because the four do not share one.
FRAMEWORK := $(firstword $(call entry,model,framework))
EXPORT_ENV := $(patsubst pytorch,torch,$(or $(FRAMEWORK),pytorch))
ifdef PYTHON
CORE := $(PYTHON)
TORCH := $(PYTHON)
EXPORT := $(PYTHON)
else
CORE := $(VENV)/core/bin/python
TORCH := $(VENV)/torch/bin/python
EXPORT := $(VENV)/$(EXPORT_ENV)/bin/python
CORE_READY := $(VENV)/core/.ready
DRIFT_READY := $(VENV)/core/.ready-drift
PLOT_READY := $(VENV)/core/.ready-plot
REPORT_READY := $(VENV)/core/.ready-report
QUANTIZE_READY := $(VENV)/core/.ready-quantize
EXPORT_READY := $(VENV)/$(EXPORT_ENV)/.ready
TEST_READY := $(VENV)/torch/.ready-all
endif

# A MINDIR runs in MindSpore, and MindSpore only in its own environment.
ifneq ($(filter mindir,$(GRAPH_FORMAT) $(FORMAT) $(patsubst export.format=%,%,$(SET))),)
RUNNER := $(or $(PYTHON),$(VENV)/mindspore/bin/python)
RUNNER_READY := $(if $(PYTHON),,$(VENV)/mindspore/.ready)
else
RUNNER := $(CORE)
RUNNER_READY := $(CORE_READY)
endif

# $(call converted,FROM,TO): write a checkpoint with other names; between two frameworks in two steps, through .npz
frameworks = $(filter torch mindspore,$(patsubst .ckpt,mindspore,$(patsubst .p%,torch,$(suffix $(1) $(2)))))
python_of = $(or $(PYTHON),$(VENV)/$(1)/bin/python)
rename = $(call python_of,$(strip $(1))) -m export.checkpoint $(CARD) '$(2)' '$(3)'
converted = $(if $(word 2,$(call frameworks,$(1),$(2))),\
  $(call rename,$(word 1,$(call frameworks,$(1),$(2))),$(1),$(2).npz) && \
  $(call rename,$(word 2,$(call frameworks,$(1),$(2))),$(2).npz,$(2)); code=$$?; rm -f '$(2).npz'; exit $$code,\
  $(call rename,$(or $(call frameworks,$(1),$(2)),$(EXPORT_ENV)),$(1),$(2)))
ready_for = $(if $(PYTHON),,$(patsubst %,$(VENV)/%/.ready,$(sort $(or $(call frameworks,$(1),$(2)),$(EXPORT_ENV)))))

# PyTorch weights for a MindSpore network are renamed first. The file is called after what is in it, so that it never
# has to be made twice, nor is it ever another one's.
ifneq ($(and $(filter mindspore,$(FRAMEWORK)),$(filter .pth .pt,$(suffix $(lastword $(CHECKPOINT))))),)
RENAMED := $(BUILD)/checkpoint/$(or $(shell sha256sum '$(CHECKPOINT)' 2>/dev/null | cut -c 1-16),none).ckpt
endif

GRAPH := $(BUILD)/graph/model.json
MANIFEST := $(BUILD)/batches/manifest.json
CALIBRATED := $(BUILD)/calibration/manifest.json
COMPILED := $(BUILD)/compiled/$(RUN)/model.json
SCORES := $(BUILD)/scores/$(SCORED)/summary.json
ACCURACY := $(BUILD)/results/$(SCORED)/accuracy.json
DEMO := build/demo_data/annotation.json

.DEFAULT_GOAL := help
# The stages write under temporary names, so nothing has to be deleted when one fails or is interrupted.
.PRECIOUS: $(GRAPH) $(MANIFEST) $(CALIBRATED) $(COMPILED) $(SCORES) $(ACCURACY)
# Else make would delete what it takes for a step in between, and build the environment again.
.PRECIOUS: $(VENV)/%/.ready $(VENV)/%/.ready-test
.PHONY: help demo checkpoint graph batches om several infer loop accuracy report compare stream sweep swept bench predict drift parity doctor \
  explain npu-selftest docs test test-pytorch test-tensorflow test-paddle test-mindspore browser lint clean FORCE

help: ## show this list
	@echo "make TARGET [VARIABLE=value ...]"
	@awk -F ' ## ' '/^[a-z -]+:.* ## / { split($$1, t, ":"); printf "  %-13s %s\n", t[1], $$2; if ($$3) printf "                %s\n", $$3 }' Makefile
	@echo "everywhere      MODEL=$(MODEL) SET='section.key=value ...' BUILD=$(BUILD) QUIET=1"
	@echo "                PYTHON=python3 uses that interpreter instead of $(VENV)/, VENV_PYTHON=$(VENV_PYTHON) builds $(VENV)/"
	@echo "cards           $(patsubst models/%.toml,%,$(wildcard models/*.toml))"

demo: ## everything on this machine's CPU: synthetic videos, a small trained model, an accuracy table, a report to look at
	@$(MAKE) --no-print-directory report MODEL=3d_resnet_demo SOC=cpu K=1 MIN_ACCURACY=0.85

checkpoint: $(call ready_for,$(FROM),$(TO)) ## weights under the names of another framework: .pth, .ckpt, .npz ## FROM=x.pth TO=x.ckpt MODEL=resnet3d_mindspore
	@$(if $(and $(FROM),$(TO)),$(call converted,$(FROM),$(TO)),echo "checkpoint: error: give FROM=x.pth TO=x.ckpt" >&2; exit 2)

graph: $(GRAPH) ## checkpoint -> ONNX, frozen .pb or MINDIR ## CHECKPOINT BATCH DTYPE GRAPH_FORMAT=onnx|pb|mindir|air
batches: $(MANIFEST) ## dataset -> batches ## VIDEO_PATH ANNOTATION_PATH SUBSET BATCH LAYOUT DTYPE MAX_CLIPS LIMIT WORKERS STRICT=1
om: $(if $(SEVERAL),several,$(COMPILED)) ## graph -> compiled model (.om, or OpenVINO IR with SOC=cpu) ## SOC BATCH=10 or BATCH=1,4,8 DYNAMIC_BATCH=1,4,8 FORMAT PRECISION_MODE OUT_NODES OP_SELECT_IMPLMODE ATC_LOG ATC_ARG='--name=value ...' DRY_RUN=1 PRECISION=int8 CALIBRATION=300 CALIBRATION_ANNOTATION MAX_ACCURACY_DROP=0.01
infer: $(if $(LOOP),loop,$(SCORES)) ## batches x compiled model -> scores, throughput ## ENGINE=acl|ais_bench|msame|openvino|onnxruntime|mindspore DEVICES=0,1 PRECISION=f32|bf16|int8 STREAMS REQUESTS WARMUP VERIFY=1 LOOP OUTPUT_FORMAT=bin|npy|txt
accuracy: $(ACCURACY) ## scores -> val.json, accuracy.json ## K MAX_CLIPS IGNORE=1 MIN_ACCURACY ACTIVATION TIES=last MEAN_CLASS=union FIRST_VIDEOS BATCH_ACCURACY

stream: $(COMPILED) $(RUNNER_READY) $(if $(ANNOTATION_PATH),,$(if $(filter 3d_resnet_demo,$(MODEL)),$(DEMO))) ## videos -> val.json in one go, no batches on the disk ## VIDEO_PATH ANNOTATION_PATH SUBSET MAX_CLIPS LIMIT WORKERS ENGINE PRECISION STREAMS REQUESTS K MIN_ACCURACY IGNORE=1 STRICT=1
	@$(RUNNER) -m scripts.stream $(CARD) --compiled $(dir $(COMPILED)) --output $(BUILD)/stream/$(SCORED) -k $(K) \
	  $(call option,--video-path,VIDEO_PATH) $(call option,--annotation-path,ANNOTATION_PATH) \
	  $(call option,--subset,SUBSET) $(call option,--max-clips,MAX_CLIPS) $(call option,--limit,LIMIT) \
	  $(call option,--workers,WORKERS) $(call option,--engine,ENGINE) $(call option,--precision,PRECISION) \
	  $(call option,--streams,STREAMS) $(call option,--requests,REQUESTS) $(call option,--warmup,WARMUP) \
	  $(call option,--min-accuracy,MIN_ACCURACY) $(if $(IGNORE),--ignore) $(if $(STRICT),--strict)

# One model per batch size comes from a graph with an open one: BATCH=1,2,... asks for it.
sweep: ## throughput and latency per batch size, on the CPU or an NPU ## BATCHES=1,2,4,8,10,16 SOC SECONDS ROUNDS ENGINE PRECISION STREAMS REQUESTS
	@$(MAKE) --no-print-directory swept BATCH=$(BATCHES)

swept: $(GRAPH) $(RUNNER_READY) $(PLOT_READY)
	@$(RUNNER) -m scripts.sweep $(CARD) --graph $(dir $(GRAPH)) --soc $(SOC) --batches $(BATCH) --compiled $(BUILD)/compiled \
	  --output $(BUILD)/sweep/$(SOC) $(call option,--seconds,SECONDS) $(call option,--rounds,ROUNDS) $(ENGINE_OPTIONS)

bench: $(TEST_READY) ## every row of docs/benchmarks.md beside its baseline; needs an idle machine ## QUICK=1 ONLY='infer startup' ROUNDS
	@$(TORCH) -m benchmarks $(if $(QUICK),--quick) $(foreach name,$(ONLY),--only $(name)) $(call option,--rounds,ROUNDS)

report: $(ACCURACY) $(REPORT_READY) ## results -> report.html, one page to look at in a browser ## STRIPS=12
	@$(CORE) -m scripts.report $(CARD) --results $(dir $(ACCURACY)) --scores $(dir $(SCORES)) --compiled $(dir $(COMPILED)) \
	  --graph $(dir $(GRAPH)) --batches $(dir $(MANIFEST)) $(call option,--strips,STRIPS) \
	  $(call option,--video-path,VIDEO_PATH) $(call option,--annotation-path,ANNOTATION_PATH)

compare: $(REPORT_READY) ## two runs: where they part, who changed sides, which is faster ## A=build/CARD/results/RUN B=... MAX_DROP=0.005 DIFFERENT_INPUTS=1 STRIPS
	@$(CORE) -m scripts.compare $(if $(A),'$(A)') $(if $(B),'$(B)') $(call option,--max-drop,MAX_DROP) $(call option,--strips,STRIPS) \
	  $(if $(DIFFERENT_INPUTS),--different-inputs) $(call option,--video-path,VIDEO_PATH) $(if $(QUIET),--quiet)

predict: $(COMPILED) $(RUNNER_READY) ## videos -> labels ## VIDEO="file folder 'name with blanks.mp4'" K TIMELINE=1 JSON=1 SAVE=folder FONT=file.ttf LABELS ENGINE
	@$(RUNNER) -m scripts.predict $(CARD) --compiled $(dir $(COMPILED)) -k $(K) \
	  $(if $(TIMELINE),--timeline) $(if $(JSON),--json) $(call option,--save,SAVE) $(call option,--font,FONT) \
	  $(call option,--labels,LABELS) $(call option,--engine,ENGINE) $(VIDEO)

# The doctor looks at bare hosts too, so it builds no environment: it takes what is there.
doctor: ## can this host run each stage? ## SOC STAGES JSON COMPARE='record.json [other.json]'
	@$(if $(wildcard $(CORE))$(PYTHON),$(CORE),$(VENV_PYTHON)) -m scripts.doctor --soc $(SOC) \
	  $(call option,--stages,STAGES) $(call option,--json,JSON) $(if $(COMPARE),--compare $(COMPARE))

drift: $(MANIFEST) $(if $(AGAINST),,$(COMPILED)) $(DRIFT_READY) ## where graph and compiled model part, layer by layer ## AGAINST='folder or file' TOP GATE=1 MIN_COSINE MAX_RELATIVE
	@$(CORE) -m scripts.drift $(CARD) --graph $(dir $(GRAPH)) --batches $(dir $(MANIFEST)) --output $(BUILD)/drift \
	  --against '$(or $(AGAINST),$(dir $(COMPILED)))' $(call option,--top,TOP) $(if $(GATE),--gate) \
	  $(call option,--min-cosine,MIN_COSINE) $(call option,--max-relative,MAX_RELATIVE)

parity: $(COMPILED) $(MANIFEST) $(EXPORT_READY) $(RUNNER_READY) ## framework, graph and compiled model on the same clips ## CLIPS=20 MAX_DIFF MIN_COSINE MIN_TOP1 ENGINE PRECISION
	@$(RUNNER) -m scripts.parity $(CARD) --graph $(dir $(GRAPH)) --compiled $(dir $(COMPILED)) --batches $(dir $(MANIFEST)) \
	  --output $(BUILD)/parity --export-python $(EXPORT) $(if $(RENAMED),--checkpoint '$(RENAMED)',$(call option,--checkpoint,CHECKPOINT)) \
	  $(call option,--clips,CLIPS) $(call option,--max-diff,MAX_DIFF) $(call option,--min-cosine,MIN_COSINE) \
	  $(call option,--min-top1,MIN_TOP1) $(call option,--engine,ENGINE) $(call option,--precision,PRECISION) \
	  $(call option,--devices,DEVICES)

# make hands its variables on in the environment, so a pasted line needs no quoting here.
export CODE
explain: $(CORE_READY) ## what an ATC, GE, runtime or ACL error means ## CODE=E10016 or CODE=107002 or LOG=atc.log
	@$(CORE) -m scripts.explain $(if $(CODE),"$$CODE") $(call option,--log,LOG) \
	  $(if $(wildcard $(GRAPH)),--model $(MODEL) --graph $(dir $(GRAPH)))

npu-selftest: $(CORE_READY) ## once on an NPU host: convert, infer, compare with the CPU, one page to send back ## SOC DEVICE
	@$(CORE) -m scripts.npu_selftest --soc $(SOC) $(call option,--device,DEVICE) \
	  $(if $(wildcard $(TORCH)),--export-python $(TORCH))

ifdef RENAMED
$(RENAMED): $(call ready_for,.pth,.ckpt)
	@$(call converted,$(CHECKPOINT),$@)
endif

$(GRAPH): FORCE $(EXPORT_READY) $(RENAMED)
	@$(EXPORT) -m export $(CARD) $(GRAPH_BATCH) --output $(dir $@) \
	  $(if $(RENAMED),--checkpoint '$(RENAMED)',$(call option,--checkpoint,CHECKPOINT)) \
	  $(call option,--input-dtype,DTYPE) $(call option,--format,GRAPH_FORMAT)

$(MANIFEST): FORCE $(CORE_READY) $(if $(ANNOTATION_PATH),,$(if $(filter 3d_resnet_demo,$(MODEL)),$(DEMO)))
	@$(CORE) -m preprocess $(CARD) --batch $(BATCH) --output $(dir $@) \
	  $(call option,--video-path,VIDEO_PATH) $(call option,--annotation-path,ANNOTATION_PATH) \
	  $(call option,--subset,SUBSET) $(call option,--layout,LAYOUT) $(call option,--dtype,DTYPE) \
	  $(call option,--max-clips,MAX_CLIPS) $(call option,--limit,LIMIT) $(call option,--workers,WORKERS) \
	  $(if $(STRICT),--strict)

# The training split, to take value ranges from; nothing of it is in the batches that models are judged by.
$(CALIBRATED): FORCE $(CORE_READY) $(if $(ANNOTATION_PATH),,$(if $(filter 3d_resnet_demo,$(MODEL)),$(DEMO)))
	@$(CORE) -m preprocess $(CARD) --batch $(BATCH) --output $(dir $@) --subset training --limit $(CALIBRATION) \
	  $(call option,--video-path,VIDEO_PATH) $(call option,--dtype,DTYPE) $(call option,--workers,WORKERS) \
	  $(call option,--annotation-path,$(if $(CALIBRATION_ANNOTATION),CALIBRATION_ANNOTATION,ANNOTATION_PATH))

ifeq ($(INT8)-$(SOC),int8-cpu)
$(COMPILED): $(GRAPH) $(MANIFEST) $(CALIBRATED) FORCE $(QUANTIZE_READY)
	@$(QUANTIZE)
else
$(COMPILED): $(GRAPH) $(if $(INT8),$(CALIBRATED)) FORCE $(CORE_READY)
	@$(CONVERT) --output $(dir $@) \
	  $(if $(DYNAMIC_BATCH),--dynamic-batch $(DYNAMIC_BATCH),--batch $(BATCH))
endif

several: $(GRAPH) $(CORE_READY)
	@$(CONVERT) --output $(BUILD)/compiled --batch $(BATCH)

$(SCORES): $(COMPILED) $(MANIFEST) FORCE $(RUNNER_READY)
	@$(INFER) --output $(dir $@)

loop: $(COMPILED) $(MANIFEST) $(RUNNER_READY)
	@$(INFER) --output $(dir $(SCORES)) --loop $(LOOP)

$(ACCURACY): $(SCORES) FORCE
	@$(CORE) -m postprocess $(CARD) --batches $(dir $(MANIFEST)) --scores $(dir $(SCORES)) --output $(dir $@) -k $(K) \
	  $(call option,--max-clips,MAX_CLIPS) $(call option,--min-accuracy,MIN_ACCURACY) $(if $(IGNORE),--ignore) \
	  $(call option,--activation,ACTIVATION) $(call option,--ties,TIES) $(call option,--mean-class,MEAN_CLASS) \
	  $(call option,--first-videos,FIRST_VIDEOS) $(call option,--batch-accuracy,BATCH_ACCURACY)

$(DEMO): FORCE $(CORE_READY)
	@$(CORE) -m scripts.demo_dataset build/demo_data --quiet \
	  --subset $(if $(INT8)$(filter-out validation,$(SUBSET)),all,validation)

$(VENV)/core/.ready: requirements/core.txt requirements/openvino.txt
	$(VENV_PYTHON) -m venv $(VENV)/core
	$(CORE) -m pip install --quiet -r requirements/core.txt
	$(CORE) -m pip install --quiet --only-binary :all: -r requirements/openvino.txt || \
	  echo "OpenVINO has no wheel for this system: ONNX Runtime takes its place"
	@touch $@

$(VENV)/core/.ready-drift: $(VENV)/core/.ready requirements/drift.txt
	$(CORE) -m pip install --quiet -r requirements/drift.txt
	@touch $@

$(VENV)/core/.ready-plot: requirements/plot.txt $(VENV)/core/.ready
	$(CORE) -m pip install --quiet -r $< || echo "matplotlib has no wheel for this system: there will be no plot"
	@touch $@

$(VENV)/core/.ready-report: $(CORE_READY) requirements/report.txt
	$(CORE) -m pip install --quiet -r requirements/report.txt
	@touch $@

$(VENV)/%/.ready: requirements/%.txt
	$(VENV_PYTHON) -m venv $(VENV)/$*
	$(VENV)/$*/bin/python -m pip install --quiet -r requirements/$*.txt
	@touch $@

# What the tests need on top, in the environment of each framework.
$(VENV)/%/.ready-test: $(VENV)/%/.ready requirements/core.txt requirements/openvino.txt requirements/dev.txt
	$(VENV)/$*/bin/python -m pip install --quiet -r requirements/core.txt -r requirements/openvino.txt -r requirements/dev.txt
	@touch $@

$(VENV)/core/.ready-quantize: requirements/quantize.txt $(VENV)/core/.ready
	$(CORE) -m pip install --quiet -r $<
	@touch $@

$(VENV)/torch/.ready-all: $(VENV)/torch/.ready-test requirements/plot.txt requirements/quantize.txt requirements/report.txt requirements/browser.txt
	$(TORCH) -m pip install --quiet -r requirements/plot.txt -r requirements/quantize.txt -r requirements/report.txt -r requirements/browser.txt
	@touch $@

test: ## every test suite, each in its framework's environment ## SUITES='pytorch paddle'
	@$(VENV_PYTHON) -m tests.suites --make "$(MAKE)" $(SUITES)

test-pytorch: $(TEST_READY) $(if $(CI),browser) ## the suite of all stages, with PyTorch ## TESTS='tests/infer -k resume' JOBS
	$(TORCH) -m pytest -n $(or $(JOBS),auto) --maxprocesses 8 --dist loadfile --junitxml build/tests/pytorch.xml $(TESTS)

test-tensorflow test-paddle test-mindspore: test-%: $(if $(PYTHON),,$(VENV)/%/.ready-test) ## what is exported from that framework, alone ## TESTS='-k engine'
	$(or $(PYTHON),$(VENV)/$*/bin/python) -m pytest --junitxml build/tests/$*.xml tests/export/$* $(TESTS)

browser: ## Chromium and its driver from the system's packages, for the tests of the pages; needs root and apt-get
	@if command -v chromedriver >/dev/null; then echo "browser: $$(chromedriver --version | cut -d' ' -f1,2) is there"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver \
	    >/dev/null || echo "browser: could not be installed; the tests of the pages are left out"; \
	else echo "browser: install chromium and chromium-driver with the system's packages; until then the tests of the pages are left out"; fi

docs: $(CORE_READY) ## what the model cards say, into docs/models.md
	@$(CORE) -m scripts.model_docs

lint: $(TEST_READY) ## ruff and mypy
	$(TORCH) -m ruff check .
	$(TORCH) -m ruff format --check .
	$(TORCH) -m tests.typed

clean: ## delete build/ (checkpoints, datasets and virtual environments stay)
	rm -rf build

FORCE:
