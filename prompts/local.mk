# The shipped templates, installed as a folder that can be imported.
promptlibraryzhdir = $(pkgdatadir)/prompts/library/zh
dist_promptlibraryzh_DATA = \
	prompts/library/zh/8d-report.prompt \
	prompts/library/zh/architecture-notes.prompt \
	prompts/library/zh/code-review.prompt \
	prompts/library/zh/complaint-reply.prompt \
	prompts/library/zh/contract-summary.prompt \
	prompts/library/zh/data-cleaning.prompt \
	prompts/library/zh/defect-description.prompt \
	prompts/library/zh/document-draft.prompt \
	prompts/library/zh/fault-triage.prompt \
	prompts/library/zh/incident-report.prompt \
	prompts/library/zh/maintenance-summary.prompt \
	prompts/library/zh/minutes.prompt \
	prompts/library/zh/notice.prompt \
	prompts/library/zh/polish.prompt \
	prompts/library/zh/quiz.prompt \
	prompts/library/zh/shift-handover.prompt \
	prompts/library/zh/sop.prompt \
	prompts/library/zh/sql.prompt \
	prompts/library/zh/table-analysis.prompt \
	prompts/library/zh/translate.prompt \
	prompts/library/zh/unit-tests.prompt \
	prompts/library/zh/weekly-report.prompt

promptlibraryendir = $(pkgdatadir)/prompts/library/en
dist_promptlibraryen_DATA = \
	prompts/library/en/8d-report.prompt \
	prompts/library/en/announcement.prompt \
	prompts/library/en/architecture-notes.prompt \
	prompts/library/en/code-review.prompt \
	prompts/library/en/contract-summary.prompt \
	prompts/library/en/data-cleaning.prompt \
	prompts/library/en/defect-description.prompt \
	prompts/library/en/document-draft.prompt \
	prompts/library/en/fault-triage.prompt \
	prompts/library/en/maintenance-summary.prompt \
	prompts/library/en/minutes.prompt \
	prompts/library/en/polish.prompt \
	prompts/library/en/quiz.prompt \
	prompts/library/en/risk-assessment.prompt \
	prompts/library/en/sql.prompt \
	prompts/library/en/status-report.prompt \
	prompts/library/en/supplier-email.prompt \
	prompts/library/en/table-report.prompt \
	prompts/library/en/translate.prompt \
	prompts/library/en/unit-tests.prompt

promptlibrarydir = $(pkgdatadir)/prompts/library
dist_promptlibrary_DATA = \
	prompts/library/GUIDE.en.md \
	prompts/library/GUIDE.zh.md \
	prompts/library/README.md
