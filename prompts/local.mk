# The shipped templates, installed as a folder that can be imported.
promptlibraryzhdir = $(pkgdatadir)/prompts/library/zh
dist_promptlibraryzh_DATA = \
	prompts/library/zh/8d-report.prompt \
	prompts/library/zh/code-review.prompt \
	prompts/library/zh/complaint-reply.prompt \
	prompts/library/zh/defect-description.prompt \
	prompts/library/zh/fault-triage.prompt \
	prompts/library/zh/incident-report.prompt \
	prompts/library/zh/maintenance-summary.prompt \
	prompts/library/zh/minutes.prompt \
	prompts/library/zh/notice.prompt \
	prompts/library/zh/polish.prompt \
	prompts/library/zh/quiz.prompt \
	prompts/library/zh/sop.prompt \
	prompts/library/zh/sql.prompt \
	prompts/library/zh/table-analysis.prompt \
	prompts/library/zh/translate.prompt \
	prompts/library/zh/weekly-report.prompt

