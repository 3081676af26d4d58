package systab

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/lineage"
)

// Tables are the system tables.
func Tables() registry.SystemTables {
	return registry.SystemTables{
		Exact: map[string]registry.TableCtor{
			"dolt_log":              logTable,
			"dolt_commits":          commitsTable,
			"dolt_commit_ancestors": ancestorsTable,
			"dolt_branches":         branchesTable,
			"dolt_remote_branches":  remoteBranchesTable,
			"dolt_backups":          backupsTable,
			"dolt_remotes":          remotesTable,
			"dolt_tags":             tagsTable,
			"dolt_stashes":          stashesTable,
			"dolt_help":             helpTable,
			"dolt_branch_activity":  activityTable,
			"dolt_rebase":           rebaseTable,
			"dolt_status":           statusTable,
			"dolt_status_ignored":   statusIgnoredTable,
			"dolt_column_diff":      columnDiffTable,
			"dolt_diff":             changesTable,

			"dolt_conflicts":             conflictCounts,
			"dolt_schema_conflicts":      schemaConflicts,
			"dolt_constraint_violations": violationCounts,
			"dolt_merge_status":          mergeStatus,

			lineage.Edges:           edgesTable,
			"stemma_replica_status": replicaTable,
		},
		Prefix: map[string]registry.TableCtor{
			prefixDiff:       diffTable,
			prefixCommitDiff: commitDiffTable,
			prefixHistory:    historyTable,
			prefixBlame:      blameTable,
			prefixWorkspace:  workspaceTable,

			prefixConflicts:  conflictRowsTable,
			prefixViolations: violationRowsTable,
		},
	}
}

// Functions are the table functions.
func Functions() []sql.TableFunction {
	return []sql.TableFunction{
		newFunction("dolt_diff", nil, diffFunction),
		newFunction("dolt_diff_stat", statColumns, statFunction),
		newFunction("dolt_diff_summary", summaryColumns, summaryFunction),
		newFunction("dolt_log", logColumns, logFunction),
		newFunction("dolt_patch", patchColumns, patchFunction),
		newFunction("dolt_schema_diff", schemaDiffColumns, schemaDiffFunction),
		newFunction("dolt_query_diff", nil, queryDiffFunction),
		&jsonDiff{},
		newFunction("dolt_test_run", testRunColumns, testRunFunction),
		newFunction("dolt_reflog", reflogColumns, reflogFunction),
		newFunction("dolt_branch_status", branchStatusColumns, branchStatusFunction),
		newFunction("dolt_preview_merge_conflicts_summary", previewSummaryColumns, previewSummary),
		newFunction("dolt_preview_merge_conflicts", nil, previewConflicts),
		runOfFunction(),
		lineageFunction(),
		impactFunction(),
		whyFunction(),
	}
}
