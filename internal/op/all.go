package op

// All are the verbs, in the order in which help lists them.
func All() []Spec {
	return []Spec{
		initSpec(),
		cloneSpec(),
		readTablesSpec(),
		statusSpec(),
		addSpec(),
		commitSpec(),
		rmSpec(),
		cleanSpec(),
		resetSpec(),
		stashSpec(),
		logSpec(),
		diffSpec(),
		showSpec(),
		blameSpec(),
		reflogSpec(),
		countCommitsSpec(),
		lsSpec(),
		docsPrintSpec(),
		docsUploadSpec(),
		docsDiffSpec(),
		branchSpec(),
		checkoutSpec(),
		mergeSpec(),
		cherryPickSpec(),
		revertSpec(),
		conflictsCatSpec(),
		conflictsResolveSpec(),
		constraintsVerifySpec(),
		mergeBaseSpec(),
		rebaseSpec(),
		squashHistorySpec(),
		filterBranchSpec(),
		tagSpec(),
		remoteSpec(),
		fetchSpec(),
		pullSpec(),
		pushSpec(),
		lsRemoteSpec(),
		fsckSpec(),
		gcSpec(),
		duSpec(),
		retentionSpec(),
		eraseSpec(),
		undropSpec(),
		purgeDroppedDatabasesSpec(),
		backupSpec(),
		restoreSpec(),
		backupLogSpec(),
		backupForgetSpec(),
		tableImportSpec(),
		tableExportSpec(),
		tableCpSpec(),
		tableMvSpec(),
		tableRmSpec(),
		schemaShowSpec(),
		schemaImportSpec(),
		schemaExportSpec(),
		dumpSpec(),
		ingestSpec(),
		dataLockSpec(),
		dataItemsSpec(),
		dataVerifySpec(),
		dataStatusSpec(),
		dataRetrainSpec(),
		dataExportSpec(),
		dataDiffSpec(),
		runStartSpec(),
		runEndSpec(),
		runListSpec(),
		runShowSpec(),
		runRecordSpec(),
		runOfSpec(),
		lineageSpec(),
		lineageImpactSpec(),
		lineageWhySpec(),
		lineageExportSpec(),
		lineageImportSpec(),
		configSpec(),
		versionSpec(),
	}
}

// Groups of verbs, as help shows them.
const (
	GroupStart   = "start a database"
	GroupWork    = "work on the current change"
	GroupLook    = "examine the history and state"
	GroupGrow    = "grow, mark and tweak the history"
	GroupRemote  = "collaborate"
	GroupData    = "bring data in and out"
	GroupLineage = "say which run made what, and from what"
	GroupServe   = "query and serve"
	GroupCare    = "look after a database"
	GroupSelf    = "stemma itself"
)

// Groups are the groups in the order in which help shows them.
func Groups() []string {
	return []string{GroupStart, GroupWork, GroupLook, GroupGrow, GroupRemote, GroupData, GroupLineage, GroupServe, GroupCare, GroupSelf}
}
