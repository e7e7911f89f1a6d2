# The demo model is installed, so that seekd has something to serve without any option.
dist_pkgdata_DATA += deploy/demo/seekd-demo.gguf deploy/demo/seekd-demo.gguf.sha256

dist_doc_DATA = README.md LICENSE CHANGELOG.md

EXTRA_DIST += \
	deploy/check \
	deploy/quickstart \
	deploy/runbook/README.md \
	deploy/runbook/README.zh.md \
	deploy/runbook/handover.prompt \
	deploy/runbook/handover.zh.prompt \
	deploy/runbook/hours.json \
	deploy/container/Containerfile \
	deploy/container/README.md \
	deploy/demo/REPORT.md \
	deploy/demo/bpe.py \
	deploy/demo/chat.jinja \
	deploy/demo/chat.py \
	deploy/demo/corpus.py \
	deploy/demo/evaluate.py \
	deploy/demo/export.py \
	deploy/demo/gguf.py \
	deploy/demo/heldout.jsonl \
	deploy/demo/loss.csv \
	deploy/demo/model.py \
	deploy/demo/report.py \
	deploy/demo/train \
	deploy/demo/train.py \
	deploy/demo/words.py \
	deploy/packages/build.list \
	deploy/packages/ensure \
	deploy/packages/run.list \
	deploy/packages/test.list \
	deploy/systemd/README.md \
	deploy/systemd/seekd.conf.example \
	deploy/systemd/seekd.service
