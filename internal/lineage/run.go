package lineage

import "fmt"

// Title names a run for people: its system, external id, job and when it began.
func (r *Run) Title() string {
	s := r.System
	if r.ExternalID != "" {
		s += " " + r.ExternalID
	}
	if r.Job != "" {
		s += " (" + r.Job + ")"
	}
	if !r.Started.IsZero() {
		s += fmt.Sprintf(", begun %s", r.Started.Format("2006-01-02 15:04:05"))
	}
	return s
}

// JobName is the run's job, or its system where it has none.
func (r *Run) JobName() string {
	if r.Job == "" {
		return r.System
	}
	return r.Job
}

// Resumed is an earlier state of a run with what is known of it anew.
func Resumed(old, now Run) Run {
	r := old
	r.System = now.System
	for _, x := range []struct {
		to   *string
		from string
	}{
		{&r.ExternalID, now.ExternalID}, {&r.Parent, now.Parent}, {&r.Job, now.Job}, {&r.User, now.User}, {&r.Host, now.Host},
		{&r.GitSHA, now.GitSHA}, {&r.Params, now.Params}, {&r.BaseCommit, now.BaseCommit}, {&r.Branch, now.Branch}, {&r.Message, now.Message},
	} {
		if x.from != "" {
			*x.to = x.from
		}
	}
	if now.GitSHA != "" {
		r.GitDirty = now.GitDirty
	}
	if r.Started.IsZero() {
		r.Started = now.Started
	}
	r.Ended, r.Error, r.ResultCommit = now.Ended, "", ""
	return r
}
