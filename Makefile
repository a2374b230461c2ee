# Two commands are enough: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/sh
CARGO ?= cargo
KAPELLE := $(or $(CARGO_TARGET_DIR),target)/release/kapelle
DOCUMENT ?= samples/annual-report.pdf
# Folders of `make install`: files go to $(DESTDIR)$(PREFIX).
PREFIX ?= /usr/local
DESTDIR ?=
# Options of `make fuzz`.
TARGET ?= all
SECONDS ?= 900

.PHONY: help build ui install uninstall dist run workers first-look test sdk frameworks check audit bench peers sim graphs power-loss crash crash-fires crash-deliveries crash-hosts \
	crash-hosts-sdk spawns schema browser ui-test shots pictures abuse hostile hostile-tenant gateway-memory five-minutes newcomer docs reference mail fuzz clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## the release binary, target/release/kapelle
	@[ -x $(KAPELLE) ] || echo "The first build compiles all dependencies: about 6 minutes on two cores, less on more." >&2
	@./ui/build.sh
	@$(CARGO) build --release --locked -p kapelle-cli

ui: ## the web UI, ui/dist; needs Node 20.19 or newer
	@KAPELLE_TEST_REQUIRE=1 ./ui/build.sh

install: ## copy the built program, manual pages and completions to PREFIX=/usr/local; DESTDIR=FOLDER goes before it
	@KAPELLE="$(KAPELLE)" PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" ./dev/install.sh

uninstall: ## remove what `make install` copied; PREFIX and DESTDIR as for it
	@KAPELLE="$(KAPELLE)" PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" ./dev/install.sh --remove

dist: ## a release archive and its SHA256SUMS, in target/packages; built with more optimisation than `make build`
	@./ui/build.sh
	@$(CARGO) build --profile dist --locked -p kapelle-cli
	@KAPELLE="$(KAPELLE:release/kapelle=dist/kapelle)" ./dev/dist.sh

ui-test: build ## the web UI: types, lints, unit tests, every page in a browser
	@KAPELLE_TEST_REQUIRE=1 ./ui/test.sh

shots: build ## pictures of every page of the web UI at three widths, light and dark; SHOTS=FOLDER
	@KAPELLE_TEST_REQUIRE=1 SHOTS="$(abspath $(SHOTS))" ./ui/test.sh shots

pictures: build ## the pictures of the web UI in docs/images, which the README shows
	@KAPELLE_TEST_REQUIRE=1 ./ui/test.sh pictures

run: build ## serve, and analyse a sample document; DOCUMENT=path takes another, ONCE=1 ends after it
	@DOCUMENT="$(DOCUMENT)" ONCE="$(ONCE)" LISTEN="$(LISTEN)" ./dev/run.sh

workers: build ## worker hosts for the server of this folder, one process for each queue
	@$(KAPELLE) host --each-queue

first-look: build ## a smaller workflow over a text: summary, sentiment, keywords
	@$(KAPELLE) run workflows/first-look.yaml --input document=@samples/annual-review.txt

test: ## everything that CI tests
	@./dev/test.sh

sdk: build ## the SDKs alone: types, tests, conformance scenarios, snippets of the guides
	@./sdk/test.sh

check: ## formatting and lints
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	@$(CARGO) clippy --release --locked -p kapelle -- -D warnings

audit: ## licences, bans and sources of the dependencies, and known vulnerabilities where the data can be reached
	@CARGO="$(CARGO)" ./dev/audit.sh

bench: ## the measurements of bench/README.md; ARGS=sdk for the SDKs beside BullMQ and Celery
	@case "$(firstword $(ARGS))" in \
	sdk) $(MAKE) --no-print-directory build && ./bench/sdk/run.sh $(wordlist 2,99,$(ARGS)) ;; \
	*) $(CARGO) run --release --locked -p kapelle-bench -- $(ARGS) ;; \
	esac

peers: ## installs what `make bench ARGS=sdk` measures beside Kapelle: BullMQ, Celery, Redis
	@./bench/sdk/peers/install.sh

sim: ## a long seeded simulation; SEEDS=0..200000
	@$(CARGO) run --release --locked -p kapelle-sim -- --seeds $(or $(SEEDS),0..200000)

graphs: ## random workflows in the engine and in the reference interpreter; SEEDS=0..20000
	@$(CARGO) run --release --locked -p kapelle-graphs -- --seeds $(or $(SEEDS),0..20000)

power-loss: ## 100,000 power-loss images
	@KAPELLE_POWER_LOSS_IMAGES=100000 $(CARGO) test --release --locked -p kapelle-store --test power_loss -- --nocapture

crash: ## 200 rounds of SIGKILL on the real binary, and 50 in the middle of fan-outs
	@KAPELLE_CRASH_ROUNDS=200 KAPELLE_FANOUT_KILLS=50 $(CARGO) test --release --locked -p kapelle-cli --test crash -- --nocapture

crash-fires: ## 200 rounds of SIGKILL on a server that fires schedules
	@KAPELLE_FIRE_KILLS=200 $(CARGO) test --release --locked -p kapelle-cli --test verbs kills_around -- --nocapture

crash-deliveries: ## 500 rounds of SIGKILL on a server that sends events
	@KAPELLE_DELIVERY_KILLS=500 $(CARGO) test --release --locked -p kapelle-cli --test verbs kills_in_the_midst -- --nocapture

crash-hosts: ## 2,000 rounds of SIGKILL on the server under clients and worker hosts; ROUNDS=2000
	@KAPELLE_HOST_ROUNDS=$(or $(ROUNDS),2000) $(CARGO) test --release --locked -p kapelle-cli --test served -- --nocapture

crash-hosts-sdk: build ## SIGKILL on the server and on hosts in Python, Node and Rust under clients; ROUNDS=2000 SEED=1
	@$(CARGO) build --release --locked -p kapelle-host --example crash_host
	@cd sdk/typescript && { [ -d node_modules ] || npm ci --silent --no-audit --no-fund; } && node_modules/.bin/tsc -p tsconfig.json
	@python3 sdk/conformance/crash/run.py --server $(KAPELLE) --rust-host $(dir $(KAPELLE))examples/crash_host --rounds $(or $(ROUNDS),2000) --seed $(or $(SEED),1)

schema: build ## the server against its own description; EXAMPLES=1000 a route, SEED=1
	@KAPELLE_TEST_REQUIRE=1 EXAMPLES=$(or $(EXAMPLES),1000) SEED=$(or $(SEED),1) LIMIT=7200 ./dev/schema/run.sh

browser: build ## a malicious page in a real browser; SHOTS=FOLDER saves screenshots
	@KAPELLE_TEST_REQUIRE=1 SHOTS="$(abspath $(SHOTS))" ./dev/browser/run.sh

abuse: ## slow, endless, malformed and greedy clients by the thousand
	@$(CARGO) test --release --locked -p kapelle-cli --test abuse -- --nocapture

hostile: ## 10,000 hostile requests to the model gateway; BODIES=10000 SEED=39
	@KAPELLE_HOSTILE_BODIES=$(or $(BODIES),10000) KAPELLE_HOSTILE_SEED=$(or $(SEED),39) $(CARGO) test --release --locked -p kapelle-server --test http hostile -- --nocapture

hostile-tenant: ## a hostile tenant beside a well-behaved one; DURATION=600 SEED=14
	@KAPELLE_HOSTILE_SECONDS=$(or $(DURATION),600) KAPELLE_HOSTILE_SEED=$(or $(SEED),14) $(CARGO) test --release --locked -p kapelle-cli --test hostile_tenant -- --nocapture

gateway-memory: ## memory of the gateway over 1,000,000 calls; CALLS=1000000
	@$(CARGO) run --release --locked -p kapelle-bench -- gateway --runs 1 --calls $(or $(CALLS),1000000)

five-minutes: build ## the first five minutes of a new user, timed
	@./dev/five-minutes.py

newcomer: build ## three stories of new users, replayed: OpenAI scripts, SDKs, operating
	@KAPELLE="$(abspath $(KAPELLE))" KAPELLE_TEST_REQUIRE=1 ./dev/newcomer/run.sh

frameworks: build ## small scripts of 19 frameworks and SDKs under the server: metered, capped, replayed after a kill; ARGS="--light" for four of them
	@$(CARGO) build --release --locked -p kapelle-testkit
	@KAPELLE="$(abspath $(KAPELLE))" ./dev/frameworks/run.py $(ARGS)

uses: build ## every sample use of samples/uses, offline and with a double of a model
	@KAPELLE="$(abspath $(KAPELLE))" ./dev/uses/run.py

estimates: build ## estimates of 20 sample runs beside what they took; ARGS=--write puts the figures into the docs
	@KAPELLE="$(abspath $(KAPELLE))" ./dev/estimates/run.py $(ARGS)

mail: build ## mail through a real SMTP server: TLS, logins, kills; ROUNDS=25 SEED=1
	@KAPELLE="$(abspath $(KAPELLE))" KAPELLE_MAIL_ROUNDS=$(or $(ROUNDS),25) KAPELLE_MAIL_SEED=$(or $(SEED),1) ./dev/mail/run.py

docs: build ## the guides: every snippet runs, links lead somewhere, references are current, "not available" is true
	@KAPELLE="$(abspath $(KAPELLE))" KAPELLE_TEST_REQUIRE=1 ./dev/docs/check.sh

reference: build ## write docs/reference from the program and the sources of the SDKs
	@KAPELLE="$(abspath $(KAPELLE))" ./dev/docs/check.sh --write

spawns: ## 10,000 starts and ends of workers, counting files, threads and zombies
	@KAPELLE_SPAWN_CYCLES=10000 $(CARGO) test --release --locked -p kapelle-supervisor --test containment many_cycles -- --nocapture

fuzz: ## hostile input, SECONDS=900 for each of TARGET=all
	@CARGO="$(CARGO)" ./fuzz/run.sh $(TARGET) $(SECONDS)

clean: ## remove the build
	@$(CARGO) clean
