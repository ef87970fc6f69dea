# Every command of the repository. They need only make, git and a Python from 3.10 to 3.13 with
# venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The interpreter for the environment: PYTHON=..., or the first of these that works.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.12 python3.11 python3.10 python3.13)
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))

REACHABLE := import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)

VENV ?= .venv
# The tested version of torch. TORCH=... and PIP_EXTRA=... (options for pip) choose another build.
# Without an NVIDIA driver the CPU build is preferred: it needs no gigabytes of CUDA libraries.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP_EXTRA ?=
# A folder of pictures for the demo, options for pytest, processes that share the tests.
IMAGES ?=
PYTEST ?=
WORKERS ?= 2
# Each process starts with its part of the tests in order, so that few fixtures are made twice.
SHARED = -n $(WORKERS) --dist worksteal
# Where the sample recording goes.
SAMPLE ?= runs/sample
# The NYU frames to evaluate on.
JRN_DATA ?= ../shared/data
NYU := $(JRN_DATA)/nyuv2

# An absolute path, so that recipes may change the folder; activated, so that children find it.
ENV := $(abspath $(VENV))
RUN := source $(ENV)/bin/activate &&
READY := $(VENV)/.ready

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: venv
venv: $(READY)  ## Make .venv with everything that the other commands need

# The package is installed editable, so only a changed list of dependencies makes this run again.
$(READY): setup.py setup.cfg
	@for python in $(CANDIDATES); do \
	  if "$$python" -c '$(USABLE)' 2>/dev/null; then \
	    echo "$(VENV): $$("$$python" --version) ($$python)"; \
	    exec "$$python" -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo 'no Python 3.10 to 3.13 with venv among: $(CANDIDATES)' >&2; \
	echo 'install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=...' >&2; \
	exit 1
	$(RUN) python -m pip install --quiet --upgrade 'pip>=23.1' 'setuptools>=68,<80' wheel
	$(RUN) index=; \
	if ! command -v nvidia-smi >/dev/null && python -c '$(REACHABLE)' '$(TORCH_INDEX)' 2>/dev/null; \
	then index='--extra-index-url $(TORCH_INDEX)'; fi; \
	python -m pip install --quiet $$index $(PIP_EXTRA) '$(TORCH)'
	$(RUN) python -m pip install --quiet $(PIP_EXTRA) '$(TORCH)' \
	  --editable '.[ros,predict,play,evaluate,train,test]'
	@touch $@

.PHONY: demo
demo: $(READY)  ## Camera, node and DDS on this machine: demo/output.png (IMAGES=folder)
	$(RUN) python demo/demo.py $(if $(IMAGES),--images '$(IMAGES)')

.PHONY: test
test: $(READY)  ## Run the tests (PYTEST='-k name -x')
	$(RUN) python -m pytest $(SHARED) -m 'not slow and not gpu and not linter' $(PYTEST)

.PHONY: test-slow
test-slow: $(READY)  ## Run the tests that take long
	$(RUN) python -m pytest $(SHARED) -m slow $(PYTEST)

.PHONY: test-without-torch
test-without-torch: $(READY)  ## Run the tests of an installation without torch, in an environment of its own
	$(RUN) python -m venv --clear '$(ENV)/without-torch'
	source '$(ENV)/without-torch/bin/activate' && \
	python -m pip install --quiet --upgrade 'pip>=23.1' && \
	python -m pip install --quiet $(PIP_EXTRA) 'pytest>=7,<8.4' \
	  --editable '.[onnxruntime,ros,evaluate]' && \
	! python -c 'import torch' 2>/dev/null && \
	python -m pytest test/test_without_torch.py test/weights/test_shipped_onnx.py $(PYTEST)

.PHONY: lint
lint: $(READY)  ## Check style, docstrings and types: ruff, mypy, ament
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) python -m pytest -q --show-capture=no test/test_flake8.py test/test_pep257.py

.PHONY: build
build: $(READY)  ## Build with colcon in .colcon/
	mkdir -p .colcon
	$(RUN) colcon --log-base .colcon/log build --paths . \
	  --build-base .colcon/build --install-base .colcon/install
	test -x .colcon/install/jrn_perception/lib/jrn_perception/jrn_node
	test -f .colcon/install/jrn_perception/share/jrn_perception/launch/jrn.launch.py

.PHONY: docs
docs: $(READY)  ## Build docs/ as web pages in .docs/, as rosdoc2 does
	$(RUN) python -m pip install --quiet $(PIP_EXTRA) --editable '.[docs]'
	$(RUN) python -m sphinx -W --keep-going -b html docs .docs

.PHONY: benchmark
benchmark: $(READY)  ## Print the ratios of benchmarks/
	$(RUN) export OMP_WAIT_POLICY=PASSIVE; for script in benchmarks/*.py; do echo "== $$script"; python "$$script" || exit 1; done

.PHONY: sample
sample: $(READY)  ## Draw the sample recording: 10 s of camera, depth and labels (SAMPLE=folder)
	test -e '$(SAMPLE)' || ($(RUN) python -m jrn_perception.sources.sample '$(SAMPLE)')

.PHONY: evaluate
evaluate: $(READY)  ## Measure the shipped weights on the NYU frames (JRN_DATA=folder)
	$(RUN) for network in jrn hydranet; do \
	  jrn_evaluate dataset --architecture $$network --data '$(NYU)' || exit 1; \
	done
	$(RUN) jrn_evaluate influence --data '$(NYU)' --output runs/influence

.PHONY: weights
weights: $(READY)  ## Train all shipped weights again, in hours: runs/shipped/ (JRN_DATA=folder)
	$(RUN) tools/shipped_weights.sh '$(JRN_DATA)' runs/shipped

.PHONY: study
study: $(READY)  ## The JRN paper's study, in hours: runs/study/study.md (JRN_DATA=folder)
	$(RUN) python tools/study.py --data '$(NYU)' --output runs/study

.PHONY: clean
clean:  ## Remove the environment, builds and caches (runs/ stays)
	rm -rf $(VENV) demo/*.png .colcon .docs build install log *.egg-info .pytest_cache .ruff_cache \
	  .mypy_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
