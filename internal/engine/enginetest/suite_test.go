package enginetest

import (
	"testing"

	"github.com/dolthub/go-mysql-server/enginetest"
)

func TestQueries(t *testing.T)          { enginetest.TestQueries(t, newHarness(t)) }
func TestInsertInto(t *testing.T)       { enginetest.TestInsertInto(t, newHarness(t)) }
func TestUpdate(t *testing.T)           { enginetest.TestUpdate(t, newHarness(t)) }
func TestDelete(t *testing.T)           { enginetest.TestDelete(t, newHarness(t)) }
func TestReplaceInto(t *testing.T)      { enginetest.TestReplaceInto(t, newHarness(t)) }
func TestScripts(t *testing.T)          { enginetest.TestScripts(t, newHarness(t)) }
func TestVersionedQueries(t *testing.T) { enginetest.TestVersionedQueries(t, newHarness(t)) }
func TestTransactionScripts(t *testing.T) {
	enginetest.TestTransactionScripts(t, newHarness(t))
}
