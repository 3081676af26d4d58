"""The variance of each procedure's median price across states."""

from dolt_integrations.metaflow import DoltConfig, DoltDT
from metaflow import FlowSpec, Parameter, Run, step


class HospitalProcedurePriceVarianceByState(FlowSpec):
    """Reads state_procedure_medians, writes variance_by_procedure."""

    hospital_price_analysis_db = Parameter("hospital-price-analysis-db", help="Database of the analysis", required=True)
    hospital_price_analysis_db_branch = Parameter("hospital-price-analysis-db-branch", help="Branch of it", default="master")
    historical_run_path = Parameter("historical-run-path", help="Read the same data as a path to a previous run")
    clean = Parameter("clean", help="Leave out corrupt procedure codes", default=False, type=bool)

    @step
    def start(self):
        analysis_conf = DoltConfig(database=self.hospital_price_analysis_db, branch=self.hospital_price_analysis_db_branch)
        audit = Run(self.historical_run_path).data.dolt if self.historical_run_path else None

        with DoltDT(run=self, config=analysis_conf, audit=audit) as dolt:
            median_price_by_state = dolt.read("state_procedure_medians")
            if self.clean:
                median_price_by_state = median_price_by_state[~median_price_by_state["code"].str.startswith("nan")]
            variance_by_procedure = median_price_by_state.groupby("code").var(numeric_only=True)
            dolt.write(variance_by_procedure, "variance_by_procedure")

        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    HospitalProcedurePriceVarianceByState()
