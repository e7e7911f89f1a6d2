# The shipped templates: installed as a folder that `seekctl template import` takes.
promptlibraryzhdir = $(pkgdatadir)/prompts/library/zh
dist_promptlibraryzh_DATA = \
	prompts/library/zh/minutes.prompt \
	prompts/library/zh/notice.prompt \
	prompts/library/zh/polish.prompt \
	prompts/library/zh/translate.prompt \
	prompts/library/zh/weekly-report.prompt

