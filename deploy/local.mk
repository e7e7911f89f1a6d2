# The demo model is installed, so that seekd has something to serve without any option.
dist_pkgdata_DATA += deploy/demo/seekd-demo.gguf

EXTRA_DIST += \
	deploy/check \
	deploy/quickstart \
	deploy/container/Containerfile \
	deploy/container/README.md \
	deploy/packages/build.list \
	deploy/packages/ensure \
	deploy/packages/run.list \
	deploy/packages/test.list \
	deploy/systemd/README.md \
	deploy/systemd/seekd.conf.example \
	deploy/systemd/seekd.service
