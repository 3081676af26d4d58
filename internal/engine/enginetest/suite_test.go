package enginetest

import (
	"testing"

	"github.com/dolthub/go-mysql-server/enginetest"
)

func TestQueries(t *testing.T)            { enginetest.TestQueries(t, newHarness(t)) }
func TestInsertInto(t *testing.T)         { enginetest.TestInsertInto(t, newHarness(t)) }
func TestUpdate(t *testing.T)             { enginetest.TestUpdate(t, newHarness(t)) }
func TestDelete(t *testing.T)             { enginetest.TestDelete(t, newHarness(t)) }
func TestReplaceInto(t *testing.T)        { enginetest.TestReplaceInto(t, newHarness(t)) }
func TestScripts(t *testing.T)            { enginetest.TestScripts(t, newHarness(t)) }
func TestTransactionScripts(t *testing.T) { enginetest.TestTransactionScripts(t, newHarness(t)) }
func TestConcurrentTransactions(t *testing.T) {
	enginetest.TestConcurrentTransactions(t, newHarness(t))
}
func TestJoinQueries(t *testing.T)         { enginetest.TestJoinQueries(t, newHarness(t)) }
func TestComplexIndexQueries(t *testing.T) { enginetest.TestComplexIndexQueries(t, newHarness(t)) }
func TestIndexes(t *testing.T)             { enginetest.TestIndexes(t, newHarness(t)) }
func TestIndexPrefix(t *testing.T)         { enginetest.TestIndexPrefix(t, newHarness(t)) }
func TestIndexedExpressions(t *testing.T)  { enginetest.TestIndexedExpressions(t, newHarness(t)) }
func TestNullRanges(t *testing.T)          { enginetest.TestNullRanges(t, newHarness(t)) }
func TestLateralJoinQueries(t *testing.T)  { enginetest.TestLateralJoinQueries(t, newHarness(t)) }
func TestNaturalJoin(t *testing.T)         { enginetest.TestNaturalJoin(t, newHarness(t)) }
func TestInsertIntoErrors(t *testing.T)    { enginetest.TestInsertIntoErrors(t, newHarness(t)) }
func TestInsertIgnoreInto(t *testing.T)    { enginetest.TestInsertIgnoreInto(t, newHarness(t)) }
func TestInsertDuplicateKeyKeyless(t *testing.T) {
	enginetest.TestInsertDuplicateKeyKeyless(t, newHarness(t))
}
func TestIgnoreIntoWithDuplicateUniqueKeyKeyless(t *testing.T) {
	enginetest.TestIgnoreIntoWithDuplicateUniqueKeyKeyless(t, newHarness(t))
}
func TestUpdateIgnore(t *testing.T)        { enginetest.TestUpdateIgnore(t, newHarness(t)) }
func TestUpdateErrors(t *testing.T)        { enginetest.TestUpdateErrors(t, newHarness(t)) }
func TestDeleteErrors(t *testing.T)        { enginetest.TestDeleteErrors(t, newHarness(t)) }
func TestReplaceIntoErrors(t *testing.T)   { enginetest.TestReplaceIntoErrors(t, newHarness(t)) }
func TestOnUpdateExprScripts(t *testing.T) { enginetest.TestOnUpdateExprScripts(t, newHarness(t)) }
func TestCreateTable(t *testing.T)         { enginetest.TestCreateTable(t, newHarness(t)) }
func TestDropTable(t *testing.T)           { enginetest.TestDropTable(t, newHarness(t)) }
func TestRenameTable(t *testing.T)         { enginetest.TestRenameTable(t, newHarness(t)) }
func TestDropColumn(t *testing.T)          { enginetest.TestDropColumn(t, newHarness(t)) }
func TestDropColumnKeylessTables(t *testing.T) {
	enginetest.TestDropColumnKeylessTables(t, newHarness(t))
}
func TestModifyColumn(t *testing.T)     { enginetest.TestModifyColumn(t, newHarness(t)) }
func TestRenameColumn(t *testing.T)     { enginetest.TestRenameColumn(t, newHarness(t)) }
func TestAddDropPks(t *testing.T)       { enginetest.TestAddDropPks(t, newHarness(t)) }
func TestPkOrdinalsDDL(t *testing.T)    { enginetest.TestPkOrdinalsDDL(t, newHarness(t)) }
func TestPkOrdinalsDML(t *testing.T)    { enginetest.TestPkOrdinalsDML(t, newHarness(t)) }
func TestAlterTable(t *testing.T)       { enginetest.TestAlterTable(t, newHarness(t)) }
func TestColumnDefaults(t *testing.T)   { enginetest.TestColumnDefaults(t, newHarness(t)) }
func TestGeneratedColumns(t *testing.T) { enginetest.TestGeneratedColumns(t, newHarness(t)) }
func TestCreateDatabase(t *testing.T)   { enginetest.TestCreateDatabase(t, newHarness(t)) }
func TestDropDatabase(t *testing.T)     { enginetest.TestDropDatabase(t, newHarness(t)) }
func TestUse(t *testing.T)              { enginetest.TestUse(t, newHarness(t)) }
func TestConcurrentCreateDatabaseIfNotExists(t *testing.T) {
	enginetest.TestConcurrentCreateDatabaseIfNotExists(t, newHarness(t))
}
func TestConcurrentDropDatabaseIfExists(t *testing.T) {
	enginetest.TestConcurrentDropDatabaseIfExists(t, newHarness(t))
}
func TestBlobs(t *testing.T) { enginetest.TestBlobs(t, newHarness(t)) }
func TestCharsetCollationEngine(t *testing.T) {
	enginetest.TestCharsetCollationEngine(t, newHarness(t))
}
func TestSpatialQueries(t *testing.T)        { enginetest.TestSpatialQueries(t, newHarness(t)) }
func TestSpatialInsertInto(t *testing.T)     { enginetest.TestSpatialInsertInto(t, newHarness(t)) }
func TestSpatialUpdate(t *testing.T)         { enginetest.TestSpatialUpdate(t, newHarness(t)) }
func TestSpatialDelete(t *testing.T)         { enginetest.TestSpatialDelete(t, newHarness(t)) }
func TestVectorType(t *testing.T)            { enginetest.TestVectorType(t, newHarness(t)) }
func TestJSONTableQueries(t *testing.T)      { enginetest.TestJSONTableQueries(t, newHarness(t)) }
func TestTimeQueries(t *testing.T)           { enginetest.TestTimeQueries(t, newHarness(t)) }
func TestCurrentTimestamp(t *testing.T)      { enginetest.TestCurrentTimestamp(t, newHarness(t)) }
func TestNumericErrorScripts(t *testing.T)   { enginetest.TestNumericErrorScripts(t, newHarness(t)) }
func TestPreparedStatements(t *testing.T)    { enginetest.TestPreparedStatements(t, newHarness(t)) }
func TestPreparedInsert(t *testing.T)        { enginetest.TestPreparedInsert(t, newHarness(t)) }
func TestInsertQueriesPrepared(t *testing.T) { enginetest.TestInsertQueriesPrepared(t, newHarness(t)) }
func TestUserPrivileges(t *testing.T)        { enginetest.TestUserPrivileges(t, newHarness(t)) }
func TestPrivilegePersistence(t *testing.T)  { enginetest.TestPrivilegePersistence(t, newHarness(t)) }
func TestVariables(t *testing.T)             { enginetest.TestVariables(t, newHarness(t)) }
func TestVariableErrors(t *testing.T)        { enginetest.TestVariableErrors(t, newHarness(t)) }
func TestWarnings(t *testing.T)              { enginetest.TestWarnings(t, newHarness(t)) }
func TestQueryErrors(t *testing.T)           { enginetest.TestQueryErrors(t, newHarness(t)) }

func TestCreateForeignKeys(t *testing.T) { enginetest.TestCreateForeignKeys(t, newHarness(t)) }
func TestDropForeignKeys(t *testing.T)   { enginetest.TestDropForeignKeys(t, newHarness(t)) }
func TestForeignKeys(t *testing.T)       { enginetest.TestForeignKeys(t, newHarness(t)) }
func TestCreateCheckConstraints(t *testing.T) {
	enginetest.TestCreateCheckConstraints(t, newHarness(t))
}
func TestChecksOnInsert(t *testing.T) { enginetest.TestChecksOnInsert(t, newHarness(t)) }
func TestChecksOnUpdate(t *testing.T) { enginetest.TestChecksOnUpdate(t, newHarness(t)) }
func TestDisallowedCheckConstraints(t *testing.T) {
	enginetest.TestDisallowedCheckConstraints(t, newHarness(t))
}
func TestDropCheckConstraints(t *testing.T) { enginetest.TestDropCheckConstraints(t, newHarness(t)) }

func TestVersionedQueries(t *testing.T) { enginetest.TestVersionedQueries(t, newHarness(t)) }

func TestViews(t *testing.T)         { enginetest.TestViews(t, newHarness(t)) }
func TestViewsPrepared(t *testing.T) { enginetest.TestViewsPrepared(t, newHarness(t)) }
func TestRecursiveViewDefinition(t *testing.T) {
	enginetest.TestRecursiveViewDefinition(t, newHarness(t))
}
func TestVersionedViews(t *testing.T) { enginetest.TestVersionedViews(t, newHarness(t)) }
func TestVersionedViewsPrepared(t *testing.T) {
	enginetest.TestVersionedViewsPrepared(t, newHarness(t))
}

func TestInfoSchema(t *testing.T)         { enginetest.TestInfoSchema(t, newHarness(t)) }
func TestInfoSchemaPrepared(t *testing.T) { enginetest.TestInfoSchemaPrepared(t, newHarness(t)) }
func TestScriptsPrepared(t *testing.T)    { enginetest.TestScriptsPrepared(t, newHarness(t)) }
func TestVersionedQueriesPrepared(t *testing.T) {
	enginetest.TestVersionedQueriesPrepared(t, newHarness(t))
}
